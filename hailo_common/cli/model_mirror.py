"""`hailo-ctl models mirror` and `build-deb`: models for many nodes, fetched once."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from hailo_common.cli.fetching import fetch_models
from hailo_common.cli.framework import CommandError, Commands, add_root, say
from hailo_common.config.common_keys import FETCH
from hailo_common.config.load import load
from hailo_common.config.paths import Paths
from hailo_common.files import write_atomic
from hailo_common.models.export import NAME, build_package, manifest_of
from hailo_common.models.manifest import load_catalogue
from hailo_common.models.settings import FetchSettings
from hailo_common.models.sources import Extra
from hailo_common.models.store import Store

_MIRROR_HELP = """\
Bring models to DIR, checked and resumable like `models fetch`, so that a web server can show them to a fleet.
DIR also gets mirror.manifest, in which every file has its checksum. On the nodes:

  /etc/hailo/models.d/mirror.manifest    that file: these files and no others are accepted, without a question
  /etc/hailo/hailo-fetch.yaml            mirror: http://server/models, and mirrors_only: true without Internet

Status: as of `models fetch`.
"""
_DEB_HELP = """\
Make a package of a model that is here, with the checksums of its files, for sites without a way out. Where
it is installed, nothing is fetched. Publish it like the other packages, or carry it there.
"""


def add_commands(group: Commands) -> None:
    """Add the commands to `models`."""
    mirror = group.command("mirror", "bring models to a folder that serves a fleet", _mirror, _MIRROR_HELP)
    mirror.add_argument("folder", type=Path, metavar="DIR")
    mirror.add_argument("names", nargs="+", metavar="MODEL")
    mirror.add_argument(
        "--from", action="append", default=[], dest="places", metavar="PLACE", help="folder or URL"
    )
    mirror.add_argument("--accept", action="store_true", help="say yes to files without a stated checksum")
    mirror.add_argument("--verify", action="store_true", help="read again what was verified before")
    package = group.command("build-deb", "make a package of a model", _build_deb, _DEB_HELP)
    package.add_argument("name", metavar="MODEL")
    package.add_argument("--out", type=Path, default=Path(), metavar="DIR", help="where to put it (here)")
    package.add_argument("--store", type=Path, metavar="DIR", help="a mirror that has the model")
    package.add_argument("--version", default="", metavar="TEXT", help="instead of the newest file's time")
    for parser in (mirror, package):
        add_root(parser)


def _mirror(args: argparse.Namespace) -> int:
    places = Paths(root=args.root)
    catalogue, store = load_catalogue(places), Store(args.folder.absolute())
    models = [catalogue.find(name) for name in dict.fromkeys(args.names)]
    status = fetch_models(
        places,
        models,
        settings=load(FetchSettings, FETCH, places),
        catalogue=catalogue,
        extra=Extra(tuple(args.places), None),
        accept=args.accept,
        verify=args.verify,
        store=store,
    )
    # What was mirrored before stays described.
    complete = [
        each for each in catalogue.models.values() if store.folder(each).is_dir() and store.complete(each)
    ]
    if complete:
        write_atomic(store.root / NAME, manifest_of(complete, store).encode())
        say(f"{store.root / NAME}: {', '.join(model.name for model in complete)}")
    return status


def _build_deb(args: argparse.Namespace) -> int:
    places = Paths(root=args.root)
    store = Store(args.store.absolute() if args.store else places.store())
    model = load_catalogue(places).find(args.name)
    try:
        say(str(build_package(model, store, args.out, args.version)))
    except OSError as error:
        raise CommandError(f"{error.filename or args.out}: {error.strerror}", os.EX_CANTCREAT) from None
    return 0
