"""The script that makes a node: fleet/node/provision.sh with the keys and the URL of one repository in it."""

from __future__ import annotations

import base64
import textwrap
from pathlib import Path

from fleet.repository.keys import Keys
from fleet.repository.tools import write

SOURCE = Path(__file__).resolve().parents[1] / "node/provision.sh"
_KEY_MARK, _URL_LINE = "@KEYRING@\n", 'URL=""\n'


def write_provision(repository: Path, keys: Keys, url: str) -> Path:
    """Write `provision.sh` and the keyring into the repository."""
    text = SOURCE.read_text(encoding="utf-8")
    encoded = "\n".join(textwrap.wrap(base64.b64encode(keys.public()).decode(), 76)) + "\n"
    for mark in (_KEY_MARK, _URL_LINE):
        assert text.count(mark) == 1, f"{SOURCE} must have {mark!r} once"
    text = text.replace(_KEY_MARK, encoded).replace(_URL_LINE, f'URL="{url}"\n')
    target = repository / "provision.sh"
    write(target, text.encode(), 0o755)
    write(repository / "hailo-appliance-archive-keyring.pgp", keys.public())
    return target


def url_of(repository: Path) -> str:
    """The URL that the repository's script has now; empty where there is none."""
    script = repository / "provision.sh"
    lines = script.read_text(encoding="utf-8").splitlines() if script.exists() else []
    return next((line[5:-1] for line in lines if line.startswith('URL="')), "")
