"""`hailo-ctl models verify`, `remove`, `add` and `pin`: what concerns files that are here."""

from __future__ import annotations

import argparse
import os
import re
from pathlib import Path

from hailo_common.cli.fetching import become_owner, checked_name, fetch_models
from hailo_common.cli.framework import CommandError, Commands, add_root, say, warn
from hailo_common.config.common_keys import FETCH
from hailo_common.config.load import load
from hailo_common.config.paths import Paths
from hailo_common.errors import ConfigError
from hailo_common.files import size_text, write_atomic
from hailo_common.models.export import manifest_of_folder
from hailo_common.models.manifest import Model, load_catalogue, read_manifest
from hailo_common.models.selection import find_npu, selected_models
from hailo_common.models.settings import FetchSettings
from hailo_common.models.sources import Extra
from hailo_common.models.store import Pin, Pins, Store, hash_file

_LOCK_S = 60.0

_ADD_HELP = """\
Add models to those that this machine knows, in /etc/hailo/models.d.

  hailo-ctl models add my-models.manifest        # a manifest somebody wrote: models.manifest(5)
  hailo-ctl models add my-florence --folder ./florence-tuned --service hailo-florence --backend cpu
                                                 # a folder: its files are hashed, described and copied
  hailo-ctl config set hailo-florence model=my-florence
"""

_PIN_HELP = """\
Without arguments: show the pins. With MODEL FILE SHA256 SIZE: pin a file to a checksum that you know from
elsewhere, before it is ever fetched. To pin what arrives instead: hailo-ctl models fetch --accept MODEL
"""


def add_commands(group: Commands) -> None:
    """Add the commands to `models`."""
    verify = group.command(
        "verify", "read all files again and compare their checksums; status 1 if one is bad", _verify
    )
    verify.add_argument("names", nargs="*", metavar="MODEL", help="all that are here, if none is given")
    remove = group.command("remove", "remove models from the disk", _remove)
    remove.add_argument("names", nargs="+", metavar="MODEL")
    remove.add_argument("--force", action="store_true", help="even if a service is set to use it")
    add = group.command("add", "add a manifest, or a folder as a model", _add, _ADD_HELP)
    add.add_argument("what", metavar="FILE|MODEL", help="a manifest; with --folder the new model's name")
    add.add_argument("--folder", type=Path, metavar="DIR", help="the model's files")
    for name in ("service", "backend", "licence", "architecture", "hailort", "about"):
        add.add_argument(f"--{name}", default="", metavar="TEXT", help=f"`{name}` of the new entry")
    pin = group.command("pin", "show pins, or pin a file to a known checksum", _pin, _PIN_HELP)
    pin.add_argument("words", nargs="*", metavar="MODEL FILE SHA256 SIZE")
    for parser in (verify, remove, add, pin):
        add_root(parser)


def _verify(args: argparse.Namespace) -> int:
    places = Paths(root=args.root)
    catalogue, store = load_catalogue(places), Store(places.store())
    pins = Pins(store.root)
    models = [catalogue.find(name) for name in args.names] or [
        model for model in catalogue.models.values() if store.folder(model).is_dir()
    ]
    bad = sum([_verify_one(store, pins, model) for model in models])
    if bad:
        warn("repair with: hailo-ctl models fetch --verify MODEL")
    return 1 if bad else 0


def _verify_one(store: Store, pins: Pins, model: Model) -> int:
    bad = 0
    for file in model.files:
        path, digest = store.path(model, file), pins.digest(file)
        if not path.is_file():
            told, good = "missing", False
        elif digest is None:
            told, good = "no checksum is stated, and none pinned", True
        else:
            try:
                good = hash_file(path) == digest
            except OSError as error:
                raise CommandError(f"{path}: cannot be read: {error.strerror}", os.EX_IOERR) from None
            told = "good" if good else "BAD: other content than its checksum says"
        say(f"{model.name}/{file.path}: {told}")
        bad += not good
    return bad


def _remove(args: argparse.Namespace) -> int:
    places = Paths(root=args.root)
    catalogue, store = load_catalogue(places), Store(places.store())
    models = [catalogue.find(name) for name in args.names]
    used = {
        each.model.name: each.reason
        for each in selected_models(places, catalogue, load(FetchSettings, FETCH, places), find_npu())
    }
    for model in models:
        if model.name in used and not args.force:
            raise CommandError(f"{model.name}: {used[model.name]}; --force removes it all the same", 1)
    become_owner(store.root)
    with store.locked(_LOCK_S):
        for model in models:
            say(f"{model.name}: {size_text(store.remove(model))} removed")
    return 0


def _add(args: argparse.Namespace) -> int:
    places = Paths(root=args.root)
    folder = places.manifest_folder()
    if args.folder is None:
        source = Path(args.what)
        models = read_manifest(source)
        target = folder / f"{re.sub(r'[^A-Za-z0-9._-]', '-', source.stem)}.manifest"
        _write(target, source.read_bytes())
        for name in models:
            say(f"{target}: {name}")
        return 0
    name = checked_name(args.what)
    fields = {key: getattr(args, key) for key in ("service", "backend", "architecture", "hailort", "about")}
    fields["licence"] = args.licence or "unknown"
    target = folder / f"{name}.manifest"
    text = manifest_of_folder(name, args.folder, fields)
    before = target.read_bytes() if target.exists() else None
    _write(target, text.encode())
    try:
        catalogue = load_catalogue(places)
    except ConfigError:
        if before is None:
            target.unlink()
        else:
            write_atomic(target, before)
        raise
    say(f"{target}: {name}")
    extra = Extra(folder=args.folder.absolute())
    settings = load(FetchSettings, FETCH, places)
    return fetch_models(
        places, [catalogue.find(name)], settings=settings, catalogue=catalogue, extra=extra, accept=False
    )


def _write(target: Path, data: bytes) -> None:
    try:
        target.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        write_atomic(target, data)
    except OSError as error:
        raise CommandError(f"{target}: {error.strerror}; try: sudo hailo-ctl ...", os.EX_NOPERM) from None


def _pin(args: argparse.Namespace) -> int:
    places = Paths(root=args.root)
    catalogue, store = load_catalogue(places), Store(places.store())
    pins = Pins(store.root)
    if not args.words:
        for model in catalogue.models.values():
            for file in model.unstated:
                pin = pins.find(file)
                say(f"{model.name}/{file.path}: {pin.sha256 if pin else 'not pinned'}")
        return 0
    if len(args.words) != 4:
        raise CommandError("needs MODEL FILE SHA256 SIZE; see: hailo-ctl models pin --help", 2)
    name, path, digest, size = args.words
    model = catalogue.find(name)
    found = next((each for each in model.files if each.path == path), None)
    if found is None or found.sha256 or not re.fullmatch(r"[0-9a-f]{64}", digest) or not size.isdecimal():
        raise CommandError(
            f"{name} must have {path} without a stated checksum, SHA256 64 digits, SIZE bytes",
            2,
        )
    become_owner(store.root)
    with store.locked(_LOCK_S):
        Pins(store.root).add(found, Pin(digest, int(size)))
    say(f"{name}/{path}: pinned to SHA-256 {digest}")
    return 0
