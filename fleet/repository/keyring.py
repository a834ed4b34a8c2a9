"""The package hailo-appliance-archive-keyring: a repository's public keys, so that an upgrade changes them.

It is made here and not from debian/: the keys belong to who runs the repository, not to the source.
"""

from __future__ import annotations

import gzip
import shutil
import tempfile
from email.utils import formatdate
from pathlib import Path

from fleet.repository.keys import Keys
from fleet.repository.tools import run, write

NAME = "hailo-appliance-archive-keyring"
_MAINTAINER = "hailo-appliance maintainers <maintainers@hailo-appliance.example>"
_ABOUT = """\
public keys of a repository of hailo-appliance
 apt checks with these keys what comes from the repository of the vision
 services hailo-vision and hailo-florence. When the operator of the repository
 changes its keys, an upgrade of this package brings the new ones.
"""
_COPYRIGHT = """\
Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
Comment: The package holds public keys and nothing else.

Files: *
Copyright: none; keys are facts
License: public-domain
 The keys are in the public domain.
"""


def build_keyring(keys: Keys, epoch: int, out: Path) -> Path:
    """Build the package in `out`; the version is the time of the keys' last change (seconds since 1970)."""
    version = f"{formatdate(epoch, usegmt=True)[12:16]}.{epoch}"
    with tempfile.TemporaryDirectory() as name:
        root = Path(name) / "root"
        doc = root / "usr/share/doc" / NAME
        write(root / "usr/share/keyrings" / f"{NAME}.pgp", keys.public())
        write(doc / "copyright", _COPYRIGHT.encode())
        write(doc / "changelog.gz", gzip.compress(_changelog(version, epoch).encode(), 9, mtime=0))
        write(root / "DEBIAN/control", _control(version).encode())
        write(root / "DEBIAN/md5sums", _md5sums(root))
        for folder in [root, *(path for path in root.rglob("*") if path.is_dir())]:
            folder.chmod(0o755)
        built = Path(name) / f"{NAME}_{version}_all.deb"
        run(
            *("dpkg-deb", "--root-owner-group", "--uniform-compression", "--build", str(root), str(built)),
            env={"SOURCE_DATE_EPOCH": str(epoch)},
        )
        return Path(shutil.copy(built, out / built.name))


def _control(version: str) -> str:
    fields = {
        "Package": NAME,
        "Version": version,
        "Architecture": "all",
        "Multi-Arch": "foreign",
        "Maintainer": _MAINTAINER,
        "Section": "misc",
        "Priority": "optional",
    }
    return "".join(f"{key}: {value}\n" for key, value in fields.items()) + f"Description: {_ABOUT}"


def _changelog(version: str, epoch: int) -> str:
    return (
        f"{NAME} ({version}) stable; urgency=medium\n\n  * Keys of this repository.\n\n"
        f" -- {_MAINTAINER}  {formatdate(epoch)}\n"
    )


def _md5sums(root: Path) -> bytes:
    files = sorted(path.relative_to(root) for path in (root / "usr").rglob("*") if path.is_file())
    return run("md5sum", "--", *map(str, files), cwd=root)
