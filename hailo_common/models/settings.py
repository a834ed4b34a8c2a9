"""The keys of hailo-fetch, the model fetcher."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from hailo_common.config.common_keys import BaseSettings
from hailo_common.config.schema import (
    boolean,
    choice,
    config_key,
    integer,
    is_model_name,
    is_proxy,
    is_source,
    number,
    string,
    strings,
)

_MODELS = strings("names of models, as `hailo-ctl models list` shows them", is_model_name)
_SOURCE = "the absolute path of a folder, or an http or https URL"


@dataclass(frozen=True, kw_only=True)
class FetchSettings(BaseSettings):
    """Settings of the model fetcher."""

    when: str = config_key(
        "background",
        choice("now", "background", "never"),
        "When to fetch what is missing: now (an installation waits), in the background, or never by itself",
    )
    mirror: str = config_key(
        "",
        string(f"{_SOURCE}, or empty", lambda value: not value or is_source(value)),
        "Where files are looked for first, as MIRROR/MODEL/FILE: a folder (a disk, a share), a web server,"
        " or another node that shows its /var/lib/hailo-models",
    )
    peers: tuple[str, ...] = config_key(
        (),
        strings(f"sources, each {_SOURCE}", is_source),
        "More such places, tried in this order after `mirror`",
    )
    mirrors_only: bool = config_key(
        False, boolean(), "Ask only `mirror` and `peers`, never the publishers' servers on the Internet"
    )
    proxy: str = config_key(
        "auto",
        string("auto, none, or http://[USER:PASSWORD@]HOST:PORT", is_proxy),
        "Proxy for http and https; auto takes http_proxy, https_proxy and no_proxy of the environment,"
        " else the proxy of apt",
        secret=True,
    )
    models: tuple[str, ...] = config_key(
        (), _MODELS, "Models to fetch besides those that the services are set to"
    )
    require_stated_digests: bool = config_key(
        False,
        boolean(),
        "Refuse files without a stated checksum, until somebody accepts them; false takes them once, from the"
        " hosts that the manifest names, over verified TLS, and then that content or none",
    )
    accept_unstated: tuple[str, ...] = config_key(
        (),
        _MODELS,
        "Models whose files are accepted as they first arrive, from a mirror, too, although nobody states"
        " their checksum",
    )
    spread_s: float = config_key(
        3600.0,
        number(0, 86400),
        "The timer waits up to this long, so that a fleet does not come at once",
        "s",
    )
    stall_timeout_s: float = config_key(
        30.0, number(1, 3600), "A transfer without progress for this long is broken off and resumed", "s"
    )
    tries: int = config_key(
        6, integer(1, 100), "How often one place is tried for one file while it makes no progress"
    )
    keep_free_mb: int = config_key(
        512, integer(0, 1_048_576), "Space that a fetch leaves free on the disk", "MiB"
    )

    def conflicts(self) -> Iterator[tuple[tuple[str, ...], str]]:
        yield from super().conflicts()
        if self.mirrors_only and not self.mirror and not self.peers:
            yield ("mirrors_only",), "mirrors_only needs a mirror or peers"
