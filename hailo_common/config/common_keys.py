"""The keys that every service has; a service's own table is found by its name, without an import here."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from typing import Any, ClassVar, Self

from hailo_common.config.schema import (
    ConfigKey,
    Rule,
    boolean,
    choice,
    config_key,
    integer,
    is_api_key,
    is_folder_or_empty,
    is_group_id,
    is_host,
    is_model_name,
    is_origin,
    is_path_or_empty,
    keys_of,
    number,
    string,
    strings,
)
from hailo_common.config.served import ServedKey
from hailo_common.errors import ConfigError

_PERCENT = integer(0, 100)
_HOST = string("an IP address or a host name", is_host)
_FOLDER = string("an absolute path, or empty", is_folder_or_empty)
_NAMES = strings("host names or IP addresses, without port", is_host)
DEMO, SHAPES = "demo", "shapes"
DEMOS = (DEMO, SHAPES)
"""What `--demo` and the key `model` call the embedded models: the usual one, and that of coloured shapes."""
_MODEL = string("auto, demo, shapes, or a model's name", is_model_name)
_GROUP = string("a name of up to 64 letters, digits, points, dashes and underscores", is_group_id)
_FILE = string("the absolute path of a file, or empty", is_path_or_empty)
_KEYS = strings("strings of 8 to 256 visible ASCII characters", is_api_key)
_ORIGINS = strings("origins such as https://chat.example, or *", is_origin)
PORT: Rule[int] = integer(1, 65535)
_MIB = 1024 * 1024


@dataclass(frozen=True, kw_only=True)
class BaseSettings:
    """Checked settings of a program; each field made by `config_key()` is a key of its configuration."""

    sources: Mapping[str, str] = field(default_factory=dict, compare=False, repr=False)

    def source(self, name: str) -> str:
        """Where the value of `name` comes from: `default`, `FILE:LINE` or `command line`."""
        return self.sources.get(name, "default")

    def conflicts(self) -> Iterator[tuple[tuple[str, ...], str]]:
        """Values that are each allowed but not together: (their keys, what is wrong)."""
        yield from ()

    def engine_options(self) -> dict[str, Any]:
        """The values of the keys that the engine process is told, by name."""
        return {key.name: getattr(self, key.name) for key in self.table() if key.engine}

    @classmethod
    def from_engine_options(cls, options: Mapping[str, Any]) -> Self:
        """The settings as an engine sees them: what is not among its options has its default."""
        names = {key.name for key in cls.table() if key.engine}
        return cls(**{name: options[name] for name in names & options.keys()})

    @classmethod
    def table(cls) -> tuple[ConfigKey, ...]:
        """The table of keys."""
        return keys_of(cls)


@dataclass(frozen=True, kw_only=True)
class CommonSettings(BaseSettings):
    """Checked settings of one service. A service subclasses it, adds keys and restates `port`."""

    PREPARE: ClassVar[str] = ""
    """See `hailo_common.engine.session.EngineSpec.prepare`."""

    host: str = config_key(
        "127.0.0.1", _HOST, 'Address to listen on; 0.0.0.0 is all IPv4 networks, "::" all networks'
    )
    port: int = config_key(8080, PORT, "TCP port to listen on")
    backend: str = config_key(
        "auto",
        choice("auto", "npu", "cpu"),
        "Where to compute; auto takes an NPU if there is one",
        engine=True,
    )
    model: str = config_key(
        "auto",
        _MODEL,
        "Model to use, of those that `hailo-ctl models list` names; auto takes the one for this machine, and"
        " the demo model, if it is installed, until that one is there",
    )
    model_dir: str = config_key("", _FOLDER, "Folder of the model, instead of one that `model` names")
    hailo_group_id: str = config_key(
        "SHARED",
        _GROUP,
        "Programs with the same name here share the Hailo chip; UNIQUE wants it alone",
        engine=True,
    )
    hailort_python_path: str = config_key(
        "",
        _FOLDER,
        "Folder that holds HailoRT's Python package hailo_platform where that is no Debian package: a wheel"
        " unpacked or a virtual environment's site-packages, not below /home; it comes before others",
        engine=True,
    )
    device_timeout_s: float = config_key(
        10.0,
        number(0.5, 300),
        "Longest time the Hailo chip may take to open, and for one step of work",
        "s",
        engine=True,
    )
    keep_alive_s: float = config_key(
        0.0,
        number(0, 86400),
        "An idle model leaves memory and chip after this time and is loaded again on demand; 0 keeps it",
        "s",
    )
    threads: int = config_key(0, integer(0, 64), "CPU threads for inference; 0 chooses", engine=True)
    # 3.3 GB, the largest HEF, come off a poor SD card at 13 MB/s in 250 s.
    load_timeout_s: float = config_key(300.0, number(1, 3600), "Longest time a model may take to load", "s")
    request_timeout_s: float = config_key(
        60.0, number(1, 3600), "Longest time the model may work on one request", "s"
    )
    queue_size: int = config_key(8, integer(1, 256), "Requests that may wait; one more is refused with 503")
    # 10 MiB: whatever way a tool counts, its "10 MB" passes.
    max_image_bytes: int = config_key(
        10_485_760, integer(1024, 104_857_600), "Largest encoded image", "bytes"
    )
    # Admits the 24.5 million of today's telephones and full-frame cameras.
    max_image_pixels: int = config_key(
        25_000_000, integer(1024, 100_000_000), "Most pixels of an image, as it is decoded"
    )
    max_jpeg_pixels: int = config_key(
        50_000_000,
        integer(0, 100_000_000),
        "Most pixels of a JPEG or HEIC as it is stored, where it is made smaller while it is decoded; "
        "0 holds it to max_image_pixels",
    )
    max_image_side: int = config_key(8192, integer(32, 65535), "Longest side of an image, in pixels")
    max_body_bytes: int = config_key(
        32 * _MIB, integer(_MIB, 256 * _MIB), "Largest request, all its images included", "bytes"
    )
    max_connections_per_peer: int = config_key(
        32, integer(1, 4096), "Open connections that one address may hold"
    )
    queue_timeout_s: float = config_key(
        300.0, number(1, 3600), "Longest time a request may wait for its turn; then it gets 503", "s"
    )
    ping_interval_s: float = config_key(
        10.0, number(0.1, 300), "A stream that has nothing to say sends a comment this often", "s"
    )
    allowed_hosts: tuple[str, ...] = config_key(
        (), _NAMES, "Names, besides its own and plain addresses, under which clients may reach the service"
    )
    api_keys: tuple[str, ...] = config_key(
        (),
        _KEYS,
        "Keys of which a client must send one as Authorization: Bearer KEY; none lets everybody in."
        " Everybody who may read this file may read them: api_key_file can be closed better",
        secret=True,
    )
    api_key_file: str = config_key(
        "", _FILE, "File with more such keys, one a line, read at the start; # begins a comment"
    )
    gateway_key_file: str = config_key(
        "",
        _FILE,
        "File with the key of a gateway, as api_key_file. Who sends it asks for several clients: the header"
        " X-Hailo-Client tells them apart, and none shares what is kept of earlier requests with another",
    )
    cors_origins: tuple[str, ...] = config_key(
        (),
        _ORIGINS,
        "Web pages (https://chat.example) that may use the service from a browser; * is any page",
    )
    announce: bool = config_key(
        True,
        boolean(),
        "Tell the local network of the service (Avahi, _http._tcp) where it listens beyond this machine",
    )
    docs: bool = config_key(False, boolean(), "Serve the interactive API documentation under /docs")
    page: bool = config_key(
        True, boolean(), "Serve a page for people: what a browser gets at /, where programs get JSON"
    )
    log_level: str = config_key(
        "info", choice("debug", "info", "warning", "error"), "Least severe level to log"
    )
    slow_inference_s: float = config_key(
        1.5, number(0.01, 3600), "An inference longer than this is a warning", "s"
    )
    memory_max_mb: int = config_key(
        0, integer(0, 1_048_576), "Memory budget, warned about from 90 % on; 0 asks the control group", "MiB"
    )
    cpu_quota_percent: int = config_key(80, _PERCENT, "Share of the whole machine's CPU; 0 is no limit", "%")
    tasks_max: int = config_key(
        0,
        integer(0, 65535),
        "Most processes and threads of the service; 0 chooses by the number of cores and of models",
    )

    def served(self) -> tuple[ServedKey, ...]:
        """The models of a service that serves several by name; none where it has the one of `model`."""
        return ()

    def announced_model(self) -> str:
        """The name under which clients of the network ask for the model."""
        return self.model

    def alone(self, source: str) -> Self:
        """The settings of a service of one model: `auto`, `demo`, `shapes`, a name or a folder's path."""
        return (
            replace(self, model="auto", model_dir=source)
            if source.startswith("/")
            else replace(self, model=source, model_dir="")
        )

    def npu_options(self, service: str) -> dict[str, Any]:
        """How the engine of a service opens the NPU, for `NpuSettings.read`."""
        return {
            "service": service,
            "group_id": self.hailo_group_id,
            "timeout_s": self.device_timeout_s,
        }


FETCH = "hailo-fetch"
"""Not a service, but configured like one."""
IMAGES = "hailo-images"
"""Another of that kind: it fetches images by address."""
_SERVICES = ("hailo-florence", "hailo-vision")
_SETTINGS = {
    "hailo-florence": ("hailo_florence.config", "FlorenceSettings"),
    "hailo-vision": ("hailo_vision.config", "VisionSettings"),
    FETCH: ("hailo_common.models.settings", "FetchSettings"),
    IMAGES: ("hailo_common.remote_images.settings", "RemoteImageSettings"),
}
"""Named, not imported: a service may be installed without the other."""


def settings_of(service: str) -> type[BaseSettings]:
    """The settings of a service or of the model fetcher; raises ConfigError where it is not installed."""
    module, name = _SETTINGS.get(service, ("", ""))
    try:
        if not module:
            raise ModuleNotFoundError(name=module)
        settings: type[BaseSettings] = getattr(importlib.import_module(module), name)
    except ModuleNotFoundError as error:
        if error.name not in (module, module.split(".")[0]):
            raise
        raise ConfigError(f"{service!r} is not a service that is installed here") from None
    return settings


def installed_services() -> list[str]:
    """The services whose packages are installed, sorted; the model fetcher is none of them."""
    return [service for service in _SERVICES if find_spec(service.replace("-", "_"))]


def service_settings(service: str) -> type[CommonSettings]:
    """The settings of a service that answers requests; ConfigError for any other name."""
    settings = settings_of(service)
    if not issubclass(settings, CommonSettings):
        raise ConfigError(f"{service!r} is not a service that answers requests")
    return settings
