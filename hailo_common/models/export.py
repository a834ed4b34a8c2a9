"""Models for machines without a way out: manifests of a mirror and of a folder, a model as a Debian package.

The package is not compressed: weights do not shrink, and gigabytes of xz take hours on a Raspberry Pi. Opens
no URL.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import stat
import subprocess
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from hailo_common.errors import ConfigError, unusable
from hailo_common.models.manifest import SCHEMA, Model
from hailo_common.models.sources import lies_in
from hailo_common.models.store import Pins, Store

NAME = "mirror.manifest"
"""Put on nodes as /etc/hailo/models.d/mirror.manifest, it makes them accept exactly the mirror's files."""
_MIRROR_HEAD = """\
# The models of this mirror with the checksums of their files. On a node: /etc/hailo/models.d/mirror.manifest
"""
_MAX_BYTES = 9_000_000_000
"""The header of a member of a .deb has ten digits for its size."""
_BUILD_S = 3600
_MAINTAINER = "hailo-appliance maintainers <maintainers@hailo-appliance.example>"
_POSTINST = """\
#!/bin/sh
set -e
# The fetcher keeps its notes beside the files.
if [ "$1" = configure ]; then
	chown -R hailo-fetch:hailo-fetch "/var/lib/hailo-models/{name}"
fi
exit 0
"""
_PRERM = """\
#!/bin/sh
set -e
if [ "$1" = remove ]; then
	rm -f "/var/lib/hailo-models/{name}/.verified.json"
fi
exit 0
"""
_MAX_DEPTH = 3
_BLOCK = 1 << 20


def manifest_of(models: Iterable[Model], store: Store) -> str:
    """A manifest of complete models, stated and pinned checksums alike.

    ConfigError names a file that is not there, or of which nobody knows what it must be.
    """
    pins = Pins(store.root)
    lines = [_MIRROR_HEAD + f"schema: {SCHEMA}", "models:"]
    for model in models:
        lines += [f"  {model.name}:", *_fields(model), "    files:"]
        for file in model.files:
            path, digest = store.path(model, file), pins.digest(model, file)
            if digest is None or path.is_symlink() or not path.is_file():
                raise ConfigError(f"{model.name}: {file.path} is not in {store.root}, or has no checksum")
            lines.append(f"      - path: {json.dumps(file.path)}")
            lines.append(f"        sha256: {digest}")
            if size := path.stat().st_size:
                lines.append(f"        size: {size}")
            if file.urls:
                lines.append(f"        urls: {json.dumps(list(file.urls))}")
    return "\n".join(lines) + "\n"


def check_unchanged(model: Model, store: Store) -> None:
    """ConfigError for a file that was written to since it was verified and is not what it was."""
    pins = Pins(store.root)
    for file in model.files:
        path, digest = store.path(model, file), pins.digest(model, file)
        if store.noted(model, file) != digest and copied(path) != digest:
            raise ConfigError(
                f"{path}: its content does not match its checksum;"
                f" mirror it again: hailo-ctl models mirror {store.root} {model.name}"
            )


def manifest_of_folder(name: str, folder: Path, fields: Mapping[str, str]) -> str:
    """A manifest with one model; ConfigError for a folder without files.

    Hidden files are left out, links that leave the folder refused. `fields` are the entry's other keys; empty
    ones are left out.
    """
    paths = sorted(_files(folder, _MAX_DEPTH))
    outside = next((path for path in paths if not lies_in(folder, Path(os.path.realpath(path)))), None)
    if outside is not None:
        raise ConfigError(f"{outside}: this link leaves the folder; copy the file itself into it")
    files = {path.relative_to(folder).as_posix(): path for path in paths}
    if not files:
        raise ConfigError(f"{folder}: no files that a model could consist of")
    return manifest_of_files(name, files, fields)


def manifest_of_files(name: str, files: Mapping[str, Path], fields: Mapping[str, str]) -> str:
    """A manifest with one model of these files, by their paths in it; see `manifest_of_folder`."""
    lines = [f"schema: {SCHEMA}", "models:", f"  {name}:"]
    lines += [f"    {key}: {json.dumps(value)}" for key, value in fields.items() if value]
    lines.append("    files:")
    for relative, path in files.items():
        lines.append(f"      - path: {json.dumps(relative)}")
        if size := path.stat().st_size:
            lines.append(f"        size: {size}")
        lines.append(f"        sha256: {copied(Path(os.path.realpath(path)))}")
    return "\n".join(lines) + "\n"


def build_package(model: Model, store: Store, out: Path, version: str = "") -> Path:
    """Write the package of a complete model to the folder `out`; returns its path.

    The version is the time of the newest file where none is given. ConfigError if the model is not complete,
    too large for a package, or dpkg-deb cannot be run.
    """
    manifest = manifest_of([model], store)
    paths = [store.path(model, file) for file in model.files]
    size = sum(path.stat().st_size for path in paths)
    if size > _MAX_BYTES:
        raise ConfigError(f"{model.name}: {size} bytes are too many for a package; use a mirror")
    newest = max(path.stat().st_mtime for path in paths)
    version = version or time.strftime("%Y%m%d.%H%M", time.gmtime(newest))
    name = f"hailo-model-{model.name.replace('_', '-')}"
    with tempfile.TemporaryDirectory(prefix=".model-", dir=out) as folder:
        root, built = Path(folder) / "root", Path(folder) / f"{name}_{version}_all.deb"
        _fill(root, model, store, manifest)
        _control(root, name, version, model, size)
        _build(root, built, int(newest))
        return built.rename(out / built.name)


def _fields(model: Model) -> list[str]:
    texts = ("service", "backend", "format", "architecture", "hailort", "about", "licence", "homepage")
    values: dict[str, object] = {name: getattr(model, name) for name in texts}
    values |= {"loads_on": list(model.loads_on), "default": model.default}
    values |= {"memory_mb": model.memory // 1_000_000, "seconds": model.seconds}
    return [f"    {name}: {_scalar(value)}" for name, value in values.items() if value]


def _scalar(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else json.dumps(value)


def copied(source: Path, target: Path | None = None) -> str:
    """The SHA-256 of a file, copied to `target` in the same pass; ConfigError for a link or a device.

    What is hashed is what is copied, whatever happens to the name meanwhile.
    """
    digest = hashlib.sha256()
    try:
        fd = os.open(source, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise unusable(source, "read", error) from None
    with os.fdopen(fd, "rb", buffering=0) as file:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise ConfigError(f"{source}: not a regular file")
        with target.open("xb") if target else contextlib.nullcontext() as copy:
            while block := file.read(_BLOCK):
                digest.update(block)
                if copy is not None:
                    copy.write(block)
    return digest.hexdigest()


def _files(folder: Path, depth: int) -> Iterator[Path]:
    try:
        entries = list(folder.iterdir())
    except OSError as error:
        raise unusable(folder, "read", error) from None
    for entry in entries:
        if entry.name.startswith("."):
            continue
        if entry.is_dir() and not entry.is_symlink() and depth:
            yield from _files(entry, depth - 1)
        elif entry.is_file():
            yield entry


def _fill(root: Path, model: Model, store: Store, manifest: str) -> None:
    pins = Pins(store.root)
    for file in model.files:
        target = root / "var/lib/hailo-models" / model.name / file.path
        target.parent.mkdir(parents=True, exist_ok=True)
        # Never a link: the store's owner could change the file after it was hashed.
        if copied(store.path(model, file), target) != pins.digest(model, file):
            raise ConfigError(
                f"{store.path(model, file)}: its content does not match its checksum; repair with:"
                f" hailo-ctl models fetch --verify {model.name}"
            )
    described = root / "etc/hailo/models.d" / f"{model.name}.manifest"
    described.parent.mkdir(parents=True)
    described.write_text(manifest, encoding="utf-8")


def _control(root: Path, name: str, version: str, model: Model, size: int) -> None:
    about = model.about or f"a model of {model.service}"
    fields = {
        "Package": name,
        "Version": version,
        "Architecture": "all",
        "Maintainer": _MAINTAINER,
        "Installed-Size": str(size // 1024 + 1),
        "Depends": "hailo-common",
        "Section": "science",
        "Priority": "optional",
        "Description": f"model {model.name} for {model.service}\n {about}.\n Licence: {model.licence}.",
    }
    debian = root / "DEBIAN"
    debian.mkdir()
    (debian / "control").write_text("".join(f"{key}: {value}\n" for key, value in fields.items()))
    (debian / "conffiles").write_text(f"/etc/hailo/models.d/{model.name}.manifest\n")
    for script, text in (("postinst", _POSTINST), ("prerm", _PRERM)):
        (debian / script).write_text(text.format(name=model.name))
        (debian / script).chmod(0o755)
    for folder in (root, *(path for path in root.rglob("*") if path.is_dir())):
        folder.chmod(0o755)


def _build(root: Path, built: Path, epoch: int) -> None:
    command = ["dpkg-deb", "--root-owner-group", "-Znone", "--build", str(root), str(built)]
    environ = {**os.environ, "SOURCE_DATE_EPOCH": str(epoch)}
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_BUILD_S, check=False, env=environ
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ConfigError(f"dpkg-deb cannot be run: {error}") from None
    if done.returncode:
        raise ConfigError(f"dpkg-deb: {done.stderr.strip()}")
