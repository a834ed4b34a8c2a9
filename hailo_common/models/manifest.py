"""The manifests: models, their files, their origin, what they must be; all of a machine are one catalogue.

Checked strictly; opens no URL. Of two models of one name the later file's counts.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from hailo_common.config.common_keys import FETCH
from hailo_common.config.paths import Paths
from hailo_common.config.schema import (
    boolean,
    choice,
    integer,
    is_host,
    is_model_name,
    is_sha256,
    is_url,
    number,
    quoted,
    string,
    strings,
)
from hailo_common.config.strict_yaml import LINE, Table, read_table
from hailo_common.errors import ConfigError

SCHEMA = 1
UNSTATED = "unstated"
LAST = "config.json"
"""Fetched last: a folder without it counts as not there yet, so no engine meets half a model."""

_PART = r"[A-Za-z0-9][A-Za-z0-9._+-]{0,127}"
_PATH = re.compile(rf"{_PART}(/{_PART}){{0,3}}")
_VERSION = re.compile(r"([0-9]{1,4}(\.[0-9]{1,4}){1,2})?")
_MAX_MB = 1_000_000
_SERVICE = string(
    "a service such as hailo-vision",
    lambda name: name != FETCH and re.fullmatch(r"hailo-[a-z]+", name) is not None,
)
_HAILORT = string("a version such as 5.2.0", lambda version: _VERSION.fullmatch(version) is not None)
_DIGEST = string(
    f"64 hexadecimal digits in lower case, or {UNSTATED}",
    lambda digest: digest == UNSTATED or is_sha256(digest),
)
_URLS = strings("URLs", lambda _: True)
_HOSTS = strings("host names, the first label perhaps `*`", lambda name: is_host(name.removeprefix("*.")))
_RELEASES = strings("versions such as 5.2.0", lambda version: bool(version and _VERSION.fullmatch(version)))


@dataclass(frozen=True)
class ModelFile:
    """One file of a model: its path in the model's folder, its URLs, and what is known of its content."""

    path: str
    urls: tuple[str, ...]
    size: int | None
    """Exact bytes, None where the publisher does not say."""
    about: int | None
    """Rounded bytes, for the look at free space and for telling an error page from a model."""
    sha256: str | None
    """None where the publisher states no checksum."""
    hosts: tuple[str, ...] = ()
    """Hosts that a file without checksum may come from beside those of the URLs; `*.` for any below."""

    def trusts(self, host: str) -> bool:
        """True for a host that the manifest names for this file."""
        named = (*(urlsplit(url).hostname or "" for url in self.urls), *self.hosts)
        return any(host.endswith(name[1:]) if name.startswith("*.") else host == name for name in named)

    @property
    def expected(self) -> int:
        """Bytes to reckon with; 0 where nothing is known, which only small files are."""
        return self.size or self.about or 0


@dataclass(frozen=True)
class Model:
    """One entry of the manifest."""

    name: str
    service: str
    backend: str
    architecture: str
    hailort: str
    default: bool
    about: str
    licence: str
    homepage: str
    files: tuple[ModelFile, ...]
    source: str
    """The file that describes it."""
    format: str = ""
    """`gguf` for models of llama.cpp, empty for those that say by their files what they are."""
    loads_on: tuple[str, ...] = ()
    """Newer releases of HailoRT on which it was seen to load."""
    memory: int = 0
    """Bytes that a service takes with it, about; 0 where nobody measured."""
    seconds: float = 0.0
    """From a question to a short answer on the reference machine, about; 0 where nobody measured."""

    @property
    def expected(self) -> int:
        """Bytes of all files, as far as known."""
        return sum(file.expected for file in self.files)

    @property
    def unstated(self) -> list[ModelFile]:
        """The files whose publisher states no checksum."""
        return [file for file in self.files if file.sha256 is None]


def read_manifest(path: Path) -> dict[str, Model]:
    """The models of one file by name; ConfigError with file, line and key of what is wrong."""
    top = read_table(path)
    top.allow("schema", "hosts", "models")
    if top.value("schema", LINE) != str(SCHEMA):
        raise top.error("schema", f"must be {SCHEMA}; this program knows no other")
    hosts = top.value("hosts", _HOSTS, ())
    models = {}
    for name, entry in top.table("models").tables():
        if not is_model_name(name):
            raise entry.error("", f"{name!r} is not a name: lower case letters, digits, `.`, `_` and `-`")
        models[name] = _model(name, entry, path, hosts)
    return models


def _model(name: str, entry: Table, path: Path, hosts: tuple[str, ...]) -> Model:
    entry.allow(
        *("service", "backend", "format", "architecture", "hailort", "loads_on", "default"),
        *("memory_mb", "seconds", "about", "licence", "homepage", "files"),
    )
    backend = entry.value("backend", choice("cpu", "npu"))
    service = entry.value("service", _SERVICE)
    hailort = entry.value("hailort", _HAILORT, "")
    architecture = entry.value("architecture", choice("", "hailo10h", "hailo8", "hailo8l"), "")
    if (backend == "npu") != bool(architecture):
        raise entry.error("architecture", "belongs to an npu model, and only to one")
    files = tuple(_file(item, hosts) for item in entry.items("files"))
    _check_paths(entry, files)
    return Model(
        name=name,
        service=service,
        backend=backend,
        architecture=architecture,
        hailort=hailort,
        default=entry.value("default", boolean(), False),
        about=entry.value("about", LINE, ""),
        licence=entry.value("licence", LINE),
        homepage=entry.value("homepage", LINE, ""),
        files=tuple(sorted(files, key=lambda file: file.path == LAST)),
        source=str(path),
        format=entry.value("format", choice("", "gguf"), ""),
        loads_on=entry.value("loads_on", _RELEASES, ()),
        memory=entry.value("memory_mb", integer(1, _MAX_MB), 0) * 1_000_000,
        seconds=entry.value("seconds", number(0, 3600), 0.0),
    )


def _check_paths(entry: Table, files: tuple[ModelFile, ...]) -> None:
    paths = [file.path for file in files]
    if not paths:
        raise entry.error("files", "lists no file")
    for path in paths:
        if paths.count(path) > 1:
            raise entry.error("files", f"{path} is listed twice")
        if any(other.startswith(f"{path}/") for other in paths):
            raise entry.error("files", f"{path} is a file and a folder")


def _file(item: Table, hosts: tuple[str, ...]) -> ModelFile:
    item.allow("path", "url", "urls", "size", "about_mb", "sha256")
    path = item.value("path", LINE)
    if not _PATH.fullmatch(path):
        raise item.error("path", f"{path!r} must be a relative path of plain names")
    digest = item.value("sha256", _DIGEST)
    url = item.find("url", LINE)
    urls = (*item.value("urls", _URLS, ()), *([] if url is None else [url]))
    for each in urls:
        if not (is_url(each) and each.startswith("https://")):
            raise item.error("url", f"{each!r} is not an https URL")
    if not urls and digest == UNSTATED:
        raise item.error("url", "is missing; only a file with a checksum can do without")
    about = item.find("about_mb", integer(1, _MAX_MB))
    return ModelFile(
        path=path,
        urls=urls,
        size=item.find("size", integer(1, _MAX_MB * 1_000_000)),
        about=None if about is None else about * 1_000_000,
        sha256=None if digest == UNSTATED else digest,
        hosts=hosts,
    )


class Catalogue:
    """The known models by name."""

    def __init__(self, models: dict[str, Model], problems: Sequence[str] = ()) -> None:
        self.models = models
        self.problems = tuple(problems)
        """What is wrong with manifests that were left out, a line each."""

    def find(self, name: str) -> Model:
        """The model of that name; ConfigError with a hint where there is none."""
        if name not in self.models:
            near = difflib.get_close_matches(name, self.models, n=1)
            hint = f"did you mean {near[0]}?" if near else "`hailo-ctl models list` shows all"
            hint = "; ".join([hint, *(f"left out: {problem}" for problem in self.problems)])
            raise ConfigError(f"no model is called {quoted(name)}; {hint}")
        return self.models[name]

    def of_service(self, service: str, backend: str) -> list[Model]:
        """The models of a service for a backend, in the manifest's order."""
        return [each for each in self.models.values() if (each.service, each.backend) == (service, backend)]


def read_catalogue(paths: Iterable[Path]) -> Catalogue:
    """The models of these manifests; a broken file costs its own models, and `problems` has a line of it.

    ConfigError when nothing but broken files is there.
    """
    models: dict[str, Model] = {}
    problems = []
    for path in paths:
        try:
            models |= read_manifest(path)
        except ConfigError as error:
            problems.append(str(error))
    if problems and not models:
        raise ConfigError("\n".join(problems))
    return Catalogue(models, problems)


def load_catalogue(places: Paths) -> Catalogue:
    """The models that this machine knows."""
    return read_catalogue(places.manifests())
