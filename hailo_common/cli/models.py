"""`hailo-ctl models`: which models are known, wanted and here, and fetching them."""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hailo_common.cli import model_files
from hailo_common.cli.client import Client, NoAnswerError
from hailo_common.cli.fetching import fetch_models
from hailo_common.cli.framework import (
    CommandError,
    Commands,
    add_root,
    complete_with,
    print_json,
    say,
    table,
    warn,
)
from hailo_common.config.common_keys import FETCH, installed_services, service_settings
from hailo_common.config.load import load
from hailo_common.config.paths import Paths
from hailo_common.config.schema import is_source
from hailo_common.errors import ConfigError
from hailo_common.files import size_text
from hailo_common.models.integrity import take_complaints
from hailo_common.models.listing import model_rows
from hailo_common.models.machine import find_machine
from hailo_common.models.manifest import Catalogue, Model, load_catalogue
from hailo_common.models.selection import selected_models, selected_of_services
from hailo_common.models.settings import FetchSettings
from hailo_common.models.sources import Extra
from hailo_common.models.store import Store

_PATIENCE_S = 2.0
"""A list does not wait long for a service that says nothing."""


def unserved(paths: Paths) -> list[tuple[str, str]]:
    """The services for which no model fits this machine, each with the reason."""
    try:
        found = selected_of_services(paths, load_catalogue(paths), find_machine(paths))
    except ConfigError:
        return []
    return [(service, each.reason) for service, each in found if each.model is None and each.reason]


_FETCH_HELP = """\
Fetch models, or what is missing of them: by default those that the services are set to use.

A file is checked against its SHA-256 while it arrives and gets its name only when it is complete; an
interrupted fetch resumes where it stopped. Places are tried in this order: --folder, --from, `mirror`
and `peers` of hailo-fetch.yaml, then the publisher. A service starts by itself when its files are there.

Some publishers state no checksum. Their files are taken once, from the hosts that the manifest names,
and pinned: other content is refused later, from wherever. With `require_stated_digests` or `mirrors_only`
they come only after confirmation (asked on a terminal, or --accept).

  hailo-ctl models fetch                                   # what the services need
  hailo-ctl models fetch --from /media/usb/hailo-models    # without Internet, from a disk
  hailo-ctl models fetch --from http://other-pi.local:8000 # from another node's /var/lib/hailo-models

Status: 0 all is there, 75 a later try may help, 77 not permitted, 78 a later try will not help. With
--all-wanted, a model that only waits for confirmation is not a failure.
"""


def define_models(parser: argparse.ArgumentParser) -> None:
    """`models` and its subcommands."""
    group = Commands(parser)
    listing = group.command("list", "show all known models and how complete they are here", _list)
    listing.add_argument("--json", action="store_true", help="print JSON")
    fetch = group.command("fetch", "fetch what is missing, checked and resumable", _fetch, _FETCH_HELP)
    complete_with(model_files.model_names, fetch.add_argument("names", nargs="*", metavar="MODEL"))
    fetch.add_argument(
        "--all-wanted", action="store_true", help="what the services use, unless `when` is never"
    )
    fetch.add_argument(
        "--from", action="append", default=[], dest="places", metavar="PLACE", help="folder or URL"
    )
    fetch.add_argument("--folder", type=Path, metavar="DIR", help="the files of the one MODEL lie here")
    fetch.add_argument("--accept", action="store_true", help="accept files without a stated checksum")
    fetch.add_argument("--verify", action="store_true", help="hash files again that were verified before")
    for each in (listing, fetch):
        add_root(each)
    model_files.add_commands(group)


def states_now(paths: Paths) -> dict[str, str]:
    """What the running services say of the manifest's models that they serve: `loaded`, `not loaded`, ..."""
    states: dict[str, str] = {}
    for service in installed_services():
        try:
            settings = load(service_settings(service), service, paths)
            keys = {key.name: key.source for key in settings.served()}
            rows = Client(settings).get("/health", _PATIENCE_S).body.get("models", ()) if keys else ()
        except (ConfigError, NoAnswerError):
            # It does not run, or cannot: `status` and `doctor` say which.
            continue
        states |= {keys[row["name"]]: str(row["state"]) for row in rows if row.get("name") in keys}
    return states


def _list(args: argparse.Namespace) -> int:
    paths = Paths(root=args.root)
    states = states_now(paths)
    rows = [
        row | ({"service_state": states[row["name"]]} if row["name"] in states else {})
        for row in model_rows(paths)
    ]
    if args.json:
        print_json(rows)
        return 0
    if rows:
        _print_rows(rows)
    else:
        say("no manifest of models is installed")
    for service, reason in unserved(paths):
        say(f"\n{service} has no model: {reason}")
    for problem in load_catalogue(paths).problems:
        warn(f"left out: {problem}")
    return 0


def _print_rows(rows: Sequence[dict[str, Any]]) -> None:
    """The rows as a table, with what the columns cannot say below."""
    head = ("MODEL", "SERVICE", "BACKEND", "SIZE", "MEMORY", "ANSWER", "LICENCE", "STATE")
    for line in table([head, *map(_cells, rows)]):
        say(line)
    say("\nMEMORY and ANSWER are estimates: of a short answer on the chip, or on a Raspberry Pi 5's CPU.")
    say(
        "Another one: hailo-ctl config set SERVICE model=MODEL && hailo-ctl models fetch &&"
        " systemctl restart SERVICE"
    )
    for row in rows:
        if row["wanted"] or row["state"] == "complete":
            _print_details(row)


def _print_details(row: dict[str, Any]) -> None:
    name, fetch = row["name"], row["fetch"] or {}
    say(f"\n{name}: {row['wanted'] or 'is here'}")
    if row["missing"]:
        if "progress" in fetch:
            say(f"  is being fetched: {fetch['progress']}")
        elif "problem" in fetch:
            say(f"  could not be fetched: {fetch['problem']}")
        say(f"  is missing; fetch it: hailo-ctl models fetch {name}")
    counted = Counter(row["trust"].values())
    say("  checksums: " + ", ".join(f"{count} {trust}" for trust, count in sorted(counted.items())))


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    return (
        row["name"],
        row["service"],
        " ".join(filter(None, (row["backend"], row["format"], row["hailort"]))),
        size_text(row["bytes"]),
        size_text(row["memory_bytes"]) if row["memory_bytes"] else "?",
        f"{row['seconds']:g} s" if row["seconds"] else "?",
        row["licence"],
        ", ".join(filter(None, (row["state"], row["wanted"] and "wanted", row.get("service_state")))),
    )


def _fetch(args: argparse.Namespace) -> int:
    paths = Paths(root=args.root)
    # Before all that may fail: what is left there starts the fetcher again at once.
    suspects = take_complaints(paths.store()) if args.all_wanted else set()
    settings, catalogue = load(FetchSettings, FETCH, paths), load_catalogue(paths)
    for name in sorted(suspects):
        say(f"{name}: a service says that files of it are damaged")
    models = _chosen(args, paths, settings, catalogue)
    if models is None:
        say("hailo-fetch.yaml says `when: never`; nothing is fetched")
        return 0
    # What is not wanted any more may be in use all the same.
    models += [model for name, model in catalogue.models.items() if name in suspects and model not in models]
    if not models:
        say("the services need no model of the manifest; nothing to fetch")
        return 0
    return fetch_models(
        Store(paths.store()),
        models,
        settings=settings,
        catalogue=catalogue,
        extra=_extra(args, models),
        accept=args.accept,
        verify=args.verify,
        unattended=args.all_wanted,
        suspects=suspects,
    )


def _extra(args: argparse.Namespace, models: Sequence[Model]) -> Extra:
    for place in args.places:
        if not is_source(place):
            raise CommandError(f"--from {place}: neither an absolute path nor an http or https URL", 2)
    if args.folder and len(models) != 1:
        raise CommandError("--folder needs one MODEL", 2)
    return Extra(tuple(args.places), args.folder.absolute() if args.folder else None)


def _chosen(
    args: argparse.Namespace, paths: Paths, settings: FetchSettings, catalogue: Catalogue
) -> list[Model] | None:
    if args.names:
        return [catalogue.find(name) for name in dict.fromkeys(args.names)]
    if args.all_wanted and settings.when == "never":
        return None
    return [each.model for each in selected_models(paths, catalogue, settings, find_machine(paths))]
