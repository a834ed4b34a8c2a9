"""`hailo-ctl models verify`, `remove`, `add`, `pin`; `mirror` and `build-deb`, which serve other nodes."""

from __future__ import annotations

import argparse
import os
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path

from hailo_common.cli.fetching import as_owner, become_owner, checked_name, fetch_models
from hailo_common.cli.framework import CommandError, Commands, add_root, complete_with, say, warn
from hailo_common.config.common_keys import FETCH
from hailo_common.config.load import load
from hailo_common.config.paths import Paths
from hailo_common.config.strict_yaml import MAX_TABLE_BYTES, read_text
from hailo_common.errors import ConfigError
from hailo_common.files import size_text, write_atomic
from hailo_common.models.export import (
    NAME,
    build_package,
    check_unchanged,
    manifest_of,
    manifest_of_files,
    manifest_of_folder,
)
from hailo_common.models.machine import find_machine
from hailo_common.models.manifest import Catalogue, Model, ModelFile, load_catalogue, read_manifest
from hailo_common.models.selection import selected_models
from hailo_common.models.settings import FetchSettings
from hailo_common.models.sources import Extra
from hailo_common.models.store import Pin, Pins, Store, hash_file

_LOCK_S = 60.0

_ADD_HELP = """\
Add models to those that this machine knows, in /etc/hailo/models.d.

  hailo-ctl models add my-models.manifest        # a manifest somebody wrote: models.manifest(5)
  hailo-ctl models add my-florence --folder ./florence-tuned --service hailo-florence --backend cpu
                                                 # a folder: its files are hashed, described and copied
  hailo-ctl models add my-smolvlm --file smolvlm.gguf --projector mmproj.gguf
                                                 # a model of llama.cpp, for hailo-vision on the CPU
  hailo-ctl config set hailo-florence model=my-florence
"""

_PIN_HELP = """\
Without arguments: show the pins. With MODEL FILE SHA256 SIZE: pin a file to a checksum that you know from
elsewhere, before it is ever fetched. To pin what arrives instead: hailo-ctl models fetch --accept MODEL
"""

_MIRROR_HELP = """\
Fetch models into DIR, checked and resumable like `models fetch`; a web server can offer them to a fleet.
DIR also gets mirror.manifest, in which every file has its checksum. On the nodes:

  /etc/hailo/models.d/mirror.manifest    that file: these files and no others are accepted, without asking
  /etc/hailo/hailo-fetch.yaml            mirror: http://server/models, and mirrors_only: true without Internet

A file of the folder that was written to since, and is not what it was, is told, and its model left out.
Status: as of `models fetch`; 1 for a model that was left out.
"""

_DEB_HELP = """\
Make a package of a model that is here, with the checksums of its files, for sites without Internet access.
Where it is installed, nothing is fetched. Publish it like the other packages, or carry it there.
"""


def add_commands(group: Commands) -> None:
    """Add the commands to `models`."""
    verify = group.command(
        "verify", "read all files again and compare their checksums; status 1 if one is bad", _verify
    )
    names = [
        verify.add_argument("names", nargs="*", metavar="MODEL", help="all that are here, if none is given")
    ]
    remove = group.command("remove", "remove models from the disk", _remove)
    names.append(remove.add_argument("names", nargs="+", metavar="MODEL"))
    remove.add_argument("--force", action="store_true", help="even if a service is set to use it")
    add = group.command("add", "add a manifest, or a folder as a model", _add, _ADD_HELP)
    names.append(_define_add(add))
    pin = group.command("pin", "show pins, or pin a file to a known checksum", _pin, _PIN_HELP)
    names.append(pin.add_argument("words", nargs="*", metavar="MODEL FILE SHA256 SIZE"))
    mirror = group.command("mirror", "fetch models into a folder that serves a fleet", _mirror, _MIRROR_HELP)
    names.append(_define_mirror(mirror))
    package = group.command("build-deb", "make a package of a model", _build_deb, _DEB_HELP)
    names.append(_define_build_deb(package))
    complete_with(model_names, *names)
    for parser in (verify, remove, add, pin, mirror, package):
        add_root(parser)


def _define_add(parser: argparse.ArgumentParser) -> argparse.Action:
    what = parser.add_argument(
        "what", metavar="FILE|MODEL", help="a manifest; with --folder the new model's name"
    )
    parser.add_argument("--folder", type=Path, metavar="DIR", help="the model's files")
    parser.add_argument("--file", type=Path, metavar="GGUF", help="the model, in llama.cpp's format")
    parser.add_argument(
        "--projector", type=Path, metavar="GGUF", help="what makes images understood by the model of --file"
    )
    parser.add_argument("--replace", action="store_true", help="a manifest may describe a known model anew")
    parser.add_argument("--default", action="store_true", help="a manifest may change which model is taken")
    for name in ("service", "backend", "licence", "architecture", "hailort", "about"):
        parser.add_argument(f"--{name}", default="", metavar="TEXT", help=f"`{name}` of the new entry")
    return what


def _define_mirror(parser: argparse.ArgumentParser) -> argparse.Action:
    parser.add_argument("folder", type=Path, metavar="DIR")
    names = parser.add_argument("names", nargs="+", metavar="MODEL")
    parser.add_argument(
        "--from", action="append", default=[], dest="places", metavar="PLACE", help="folder or URL"
    )
    parser.add_argument("--accept", action="store_true", help="accept files without a stated checksum")
    parser.add_argument("--verify", action="store_true", help="hash files again that were verified before")
    return names


def _define_build_deb(parser: argparse.ArgumentParser) -> argparse.Action:
    name = parser.add_argument("name", metavar="MODEL")
    parser.add_argument("--out", type=Path, default=Path(), metavar="DIR", help="where to put it (here)")
    parser.add_argument("--store", type=Path, metavar="DIR", help="a mirror that has the model")
    parser.add_argument("--version", default="", metavar="TEXT", help="instead of the newest file's time")
    return name


def model_names(_prefix: str, _args: argparse.Namespace) -> list[str]:
    """Completion of MODEL."""
    return list(load_catalogue(Paths()).models)


def _verify(args: argparse.Namespace) -> int:
    paths = Paths(root=args.root)
    catalogue, store = load_catalogue(paths), Store(paths.store())
    pins = Pins(store.root)
    models = [catalogue.find(name) for name in args.names] or [
        model for model in catalogue.models.values() if store.folder(model).is_dir()
    ]
    good = [_verify_file(store, pins, model, file) for model in models for file in model.files]
    if all(good):
        return 0
    warn("repair with: hailo-ctl models fetch --verify MODEL")
    return 1


def _verify_file(store: Store, pins: Pins, model: Model, file: ModelFile) -> bool:
    path, digest = store.path(model, file), pins.digest(model, file)
    if not path.is_file():
        good, result = False, "missing"
    elif digest is None:
        good, result = True, "no checksum is stated, and none pinned"
    else:
        good = _hash(path) == digest
        result = "good" if good else "BAD: its content does not match its checksum"
    say(f"{model.name}/{file.path}: {result}")
    return good


def _hash(path: Path) -> str:
    try:
        return hash_file(path)
    except OSError as error:
        raise CommandError(f"{path}: cannot be read: {error.strerror}", os.EX_IOERR) from None


def _remove(args: argparse.Namespace) -> int:
    paths = Paths(root=args.root)
    catalogue, store = load_catalogue(paths), Store(paths.store())
    models = [catalogue.find(name) for name in args.names]
    used = {
        each.model.name: each.reason
        for each in selected_models(paths, catalogue, load(FetchSettings, FETCH, paths), find_machine(paths))
    }
    for model in models:
        if model.name in used and not args.force:
            raise CommandError(f"{model.name}: {used[model.name]}; --force removes it anyway", 1)
    become_owner(store.root)
    with store.locked(_LOCK_S):
        for model in models:
            say(f"{model.name}: {size_text(store.remove(model))} removed")
    return 0


def _add(args: argparse.Namespace) -> int:
    paths = Paths(root=args.root)
    if args.projector and not args.file:
        raise CommandError("--projector needs --file, the model that it belongs to", 2)
    if args.folder and args.file:
        raise CommandError("--folder and --file exclude each other", 2)
    if args.folder is None and args.file is None:
        return _add_manifest(Path(args.what), args, paths)
    name = checked_name(args.what)
    files = _gguf_files(args) if args.file else {}
    text = as_owner(paths.store(), lambda: _description(name, files, args))
    catalogue = _add_described(name, text, paths)
    return fetch_models(
        Store(paths.store()),
        [catalogue.find(name)],
        settings=load(FetchSettings, FETCH, paths),
        catalogue=catalogue,
        extra=Extra(folder=args.folder.absolute() if args.folder else None, files=files),
        accept=False,
    )


def _accepted(
    models: Mapping[str, Model], target: Path, paths: Paths, *, replace: bool, default: bool
) -> Mapping[str, Model]:
    """Refuse what would change, without a word, what a name means or which model a service takes."""
    known = load_catalogue(paths).models
    taken = [name for name in models if name in known and Path(known[name].source) != target]
    if taken and not replace:
        raise ConfigError(
            f"{taken[0]} is described in {known[taken[0]].source}; --replace puts this one in its place"
        )
    chosen = next((model for model in models.values() if model.default), None)
    if chosen and not default:
        raise ConfigError(
            f"{chosen.name} would become the model that {chosen.service} takes by itself; --default allows it"
        )
    return models


def _add_manifest(source: Path, args: argparse.Namespace, paths: Paths) -> int:
    target = paths.manifest_folder() / f"{re.sub(r'[^A-Za-z0-9._-]', '-', source.stem)}.manifest"
    text = read_text(source, MAX_TABLE_BYTES)
    with tempfile.TemporaryDirectory() as folder:
        # What is checked is what is written, whatever happens to the file meanwhile.
        checked = Path(folder) / source.name
        checked.write_text(text, encoding="utf-8")
        models = _accepted(read_manifest(checked), target, paths, replace=args.replace, default=args.default)
    _write(target, text.encode())
    for name in models:
        say(f"{target}: {name}")
    return 0


def _gguf_files(args: argparse.Namespace) -> dict[str, Path]:
    """The files of a GGUF model by their names in its folder; CommandError for one that is none."""
    files = {"model.gguf": args.file.absolute()}
    if args.projector:
        files["mmproj.gguf"] = args.projector.absolute()
    else:
        warn("without --projector the model answers about text only")
    for path in files.values():
        try:
            with path.open("rb") as file:
                head = file.read(4)
        except OSError as error:
            raise CommandError(f"{path}: {error.strerror}", os.EX_NOINPUT) from None
        if head != b"GGUF":
            raise CommandError(f"{path}: is no GGUF file", os.EX_DATAERR)
    return files


def _description(name: str, files: Mapping[str, Path], args: argparse.Namespace) -> str:
    """The manifest of the new model."""
    fields = {key: getattr(args, key) for key in ("service", "backend", "architecture", "hailort", "about")}
    fields["licence"] = args.licence or "unknown"
    if not files:
        return manifest_of_folder(name, args.folder, fields)
    ours = {"service": "hailo-vision", "backend": "cpu", "format": "gguf"}
    return manifest_of_files(name, files, {**fields, **ours})


def _add_described(name: str, text: str, paths: Paths) -> Catalogue:
    """Put the model's manifest among the others; it is taken back if it cannot be read."""
    target = paths.manifest_folder() / f"{name}.manifest"
    before = target.read_bytes() if target.exists() else None
    _write(target, text.encode())
    try:
        read_manifest(target)
    except ConfigError:
        if before is None:
            target.unlink()
        else:
            write_atomic(target, before)
        raise
    say(f"{target}: {name}")
    return load_catalogue(paths)


def _write(target: Path, data: bytes) -> None:
    try:
        target.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        write_atomic(target, data)
    except OSError as error:
        raise CommandError(f"{target}: {error.strerror}; try: sudo hailo-ctl ...", os.EX_NOPERM) from None


def _pin(args: argparse.Namespace) -> int:
    paths = Paths(root=args.root)
    catalogue, store = load_catalogue(paths), Store(paths.store())
    if not args.words:
        _show_pins(catalogue, Pins(store.root))
        return 0
    if len(args.words) != 4:
        raise CommandError("needs MODEL FILE SHA256 SIZE; see: hailo-ctl models pin --help", 2)
    name, path, digest, size = args.words
    model = catalogue.find(name)
    found = next((each for each in model.files if each.path == path), None)
    if found is None or found.sha256 or not re.fullmatch(r"[0-9a-f]{64}", digest) or not size.isdecimal():
        raise CommandError(
            f"{path} must be a file of {name} without a stated checksum, SHA256 64 hex digits, SIZE bytes", 2
        )
    become_owner(store.root)
    with store.locked(_LOCK_S):
        Pins(store.root).add(model, found, Pin(digest, int(size)))
    say(f"{name}/{path}: pinned to SHA-256 {digest}")
    return 0


def _show_pins(catalogue: Catalogue, pins: Pins) -> None:
    for model in catalogue.models.values():
        for file in model.unstated:
            pin = pins.find(model, file)
            say(f"{model.name}/{file.path}: {pin.sha256 if pin else 'not pinned'}")


def _mirror(args: argparse.Namespace) -> int:
    paths = Paths(root=args.root)
    catalogue, store = load_catalogue(paths), Store(args.folder.absolute())
    status = fetch_models(
        store,
        [catalogue.find(name) for name in dict.fromkeys(args.names)],
        settings=load(FetchSettings, FETCH, paths),
        catalogue=catalogue,
        extra=Extra(tuple(args.places), None),
        accept=args.accept,
        verify=args.verify,
    )
    # What was mirrored before stays described.
    complete = [
        each for each in catalogue.models.values() if store.folder(each).is_dir() and store.complete(each)
    ]
    good = [model for model in complete if _is_unchanged(model, store)]
    if good:
        write_atomic(store.root / NAME, manifest_of(good, store).encode())
        say(f"{store.root / NAME}: {', '.join(model.name for model in good)}")
    return status if len(good) == len(complete) else status or 1


def _is_unchanged(model: Model, store: Store) -> bool:
    try:
        check_unchanged(model, store)
    except ConfigError as error:
        warn(f"{model.name} is left out of {NAME}: {error}")
        return False
    return True


def _build_deb(args: argparse.Namespace) -> int:
    paths = Paths(root=args.root)
    store = Store(args.store.absolute() if args.store else paths.store())
    model = load_catalogue(paths).find(args.name)
    try:
        say(str(build_package(model, store, args.out, args.version)))
    except OSError as error:
        raise CommandError(f"{error.filename or args.out}: {error.strerror}", os.EX_CANTCREAT) from None
    return 0
