"""`hailo-render-config SERVICE`: check the YAML files and write the JSON that the service reads.

Exit statuses: 0, 2 for a wrong command line, 78 for a configuration that cannot be used; then the old JSON
stays.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from hailo_common.config.command_line import fail
from hailo_common.config.common_keys import settings_of
from hailo_common.config.load import load
from hailo_common.config.paths import Paths
from hailo_common.config.render import render
from hailo_common.errors import ConfigError

_PROGRAM = "hailo-render-config"


def main(argv: Sequence[str] | None = None) -> int:
    """Render one service's configuration; returns the exit status."""
    args = build_parser().parse_args(argv)
    places = Paths(root=args.root)
    output = args.output or places.rendered(args.service)
    try:
        settings = load(settings_of(args.service), args.service, places)
        changed = not args.check and render(settings, output)
    except ConfigError as error:
        fail(_PROGRAM, error)
    if changed:
        print(f"{_PROGRAM}: wrote {output}")
    return 0


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog=_PROGRAM, description="Check a service's YAML and write its JSON.", allow_abbrev=False
    )
    parser.add_argument("service", metavar="SERVICE", help="for example hailo-florence")
    parser.add_argument("--check", action="store_true", help="only check, write nothing")
    parser.add_argument("--output", type=Path, metavar="FILE", help="write here instead")
    parser.add_argument("--root", type=Path, default=Path("/"), metavar="DIR", help="file system to work in")
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
