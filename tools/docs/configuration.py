"""The table of keys for people: the commented YAML that is packaged, and the Markdown page.

`python -m tools.docs.configuration` in the source tree writes both for every service found there.
"""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path

from hailo_common.config.common_keys import FETCH, IMAGES, settings_of
from hailo_common.config.schema import ConfigKey, shown
from hailo_common.files import write_atomic

_YAML_HEAD = """\
# The keys of {service}, with their defaults.
#
# This file belongs to the package and is replaced by upgrades. Put what you change into
# /etc/hailo/{service}.yaml, or into files under /etc/hailo/{service}.d/ (read in the order
# of their names, the last one wins){then}.
#
# Check first with: hailo-ctl config check {service}
"""

_PAGE_HEAD = """\
# Configuration

<!-- Written by `python -m tools.docs.configuration` from the tables of keys. Do not edit. -->

Values come from these files; where a key stands in several, the last one wins:

1. `/usr/share/SERVICE/SERVICE.yaml`: the package's defaults,
2. `/etc/hailo/SERVICE.yaml`: the administrator's,
3. `/etc/hailo/SERVICE.d/*.yaml`: fleet tooling, in the order of the names.

`hailo-render-config SERVICE` checks them and writes `/etc/xdg/SERVICE/SERVICE.json` (below
`$XDG_CONFIG_HOME` where that is set), which the service reads. It runs at every start, so a change needs only
a restart. A configuration with an error changes nothing: the old JSON stays, each problem is printed with
file, line and key, and the exit status is 78.

`hailo-ctl config check` checks without writing; `hailo-ctl config show SERVICE` prints each value and its
source. `hailo-ctl config set SERVICE KEY=VALUE` changes a value and leaves every other byte of the file as it
is.

`hailo-ctl config render --units DIR` also writes what systemd must know as drop-ins of the units: address and
port (`host`, `port`), `MemoryMax` (`memory_max_mb`), `CPUQuota` (`cpu_quota_percent`, a share of the whole
machine: 80 of four cores is `320%`), `TasksMax` (`tasks_max`) and the spread of the fetcher's timer.

The last two sections are not services': they set how models are fetched, and from where images by address.
"""


def commented_yaml(service: str, keys: Sequence[ConfigKey]) -> str:
    """All keys, commented out, each with help and range."""
    then = "" if service == FETCH else f", then: systemctl restart {service}"
    parts = [_YAML_HEAD.format(service=service, then=then)]
    for key in keys:
        help = textwrap.fill(described(key), 100, initial_indent="# ", subsequent_indent="# ")
        parts.append(f"{help}\n#{key.name}: {shown(key.default)}\n")
    return "\n".join(parts)


def markdown_page(tables: Mapping[str, Sequence[ConfigKey]]) -> str:
    """The page of all services' keys."""
    return "\n".join([_PAGE_HEAD, *(_section(service, keys) for service, keys in tables.items())])


def write_documents(tree: Path) -> list[Path]:
    """Write `conf/SERVICE.yaml` and `docs/configuration.md` of a source tree."""
    documents = documents_of(tree)
    for path, text in documents.items():
        path.parent.mkdir(exist_ok=True)
        write_atomic(path, text.encode())
    return list(documents)


def documents_of(tree: Path) -> dict[Path, str]:
    """What the generated files of a source tree must contain."""
    services = sorted(path.parent.name.replace("_", "-") for path in tree.glob("hailo_*/config.py"))
    services += [FETCH] if (tree / "hailo_common/models/settings.py").exists() else []
    services += [IMAGES] if (tree / "hailo_common/remote_images/settings.py").exists() else []
    tables = {service: settings_of(service).table() for service in services}
    documents = {tree / "conf" / f"{name}.yaml": commented_yaml(name, keys) for name, keys in tables.items()}
    return {**documents, tree / "docs" / "configuration.md": markdown_page(tables)}


def described(key: ConfigKey) -> str:
    """What a key is, its unit and what it may be, in sentences."""
    unit = f", in {key.unit}" if key.unit else ""
    return f"{key.help}{unit}. Must be {key.rule.allowed}."


def _section(service: str, keys: Sequence[ConfigKey]) -> str:
    head = [f"## {service}", "", "| key | default | allowed | unit | meaning |", "|---|---|---|---|---|"]
    return "\n".join([*head, *map(_row, keys), ""])


def _row(key: ConfigKey) -> str:
    return f"| `{key.name}` | `{shown(key.default)}` | {key.rule.allowed} | {key.unit} | {key.help} |"


if __name__ == "__main__":
    for written in write_documents(Path.cwd()):
        print(written, file=sys.stderr)
