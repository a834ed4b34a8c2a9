"""The keys of a repository, and the package that brings their public part to the nodes.

An Ed25519 primary key certifies, and subkeys sign. The folder has two GnuPG homes: `primary` holds everything
and belongs on a disk in a drawer, `signing` holds only the secret subkeys and is all that publishing needs.
Neither ever lies below the published folder.
"""

from __future__ import annotations

import contextlib
import gzip
import json
import os
import shutil
import tempfile
import time
from collections.abc import Sequence
from email.utils import formatdate
from pathlib import Path

from fleet.repository.tools import RepositoryError, run, write

KEYRING = "hailo-appliance-archive-keyring"
"""The package of the public keys: an upgrade changes a node's keys."""
_NEVER, _SUBKEY_LIFE = "never", "3y"
_AGENT_S = 10.0
_QUIET = ("--no-options", "--quiet", "--no-tty", "--pinentry-mode", "loopback", "--passphrase", "")
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


class Keys:
    """The keys below one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._primary, self._signing = folder / "primary", folder / "signing"
        self._list = folder / "signers.json"

    @property
    def exist(self) -> bool:
        """True once `create` has run."""
        return self._list.exists()

    @property
    def signers(self) -> list[str]:
        """Fingerprints of the subkeys that sign, oldest first."""
        if not self.exist:
            raise RepositoryError(f"no keys in {self.folder}; `keys create` makes them")
        return [str(each["subkey"]) for each in self._entries()]

    @property
    def changed(self) -> int:
        """When a key was added or retired last, in seconds since 1970."""
        return int(json.loads(self._list.read_bytes())["changed"])

    def create(self, owner: str) -> str:
        """A new primary key whose first subkey joins the signers; returns that subkey's fingerprint."""
        for home in (self.folder, self._primary, self._signing):
            home.mkdir(mode=0o700, parents=True, exist_ok=True)
        before = set(self._fingerprints("pub"))
        self._gpg(self._primary, "--quick-generate-key", owner, "ed25519", "cert", _NEVER)
        (primary,) = set(self._fingerprints("pub")) - before
        return self.add(primary)

    def add(self, primary: str = "") -> str:
        """A new subkey under a primary key (the newest one by default) that signs beside the others."""
        self._need_primary()
        primary = primary or str(self._entries()[-1]["primary"])
        before = set(self._fingerprints("sub"))
        self._gpg(self._primary, "--quick-add-key", primary, "ed25519", "sign", _SUBKEY_LIFE)
        (subkey,) = set(self._fingerprints("sub")) - before
        secret = self._gpg(self._primary, "--export-secret-subkeys", f"{subkey}!")
        self._gpg(self._signing, "--import", stdin=secret)
        self._write([*self._entries(), {"primary": primary, "subkey": subkey}])
        return subkey

    def retire(self, subkey: str) -> None:
        """Revoke a subkey: it signs no longer, and nodes with the new keyring stop believing it."""
        entries = self._entries()
        found = next((each for each in entries if each["subkey"] == subkey), None)
        rest = [each for each in entries if each["subkey"] != subkey]
        if found is None:
            raise RepositoryError(f"{subkey} is no signer; signers: {', '.join(self.signers)}")
        if not rest:
            raise RepositoryError("the last signer cannot be retired; add another one first")
        self._need_primary()
        edit = f"key {subkey[-16:]}\nrevkey\ny\n1\n\ny\nsave\n"
        self._gpg(self._primary, "--command-fd=0", "--edit-key", str(found["primary"]), stdin=edit.encode())
        self._write(rest)

    def public(self) -> bytes:
        """The public keys of all signers, binary, as small as they can be."""
        return (self.folder / "public.pgp").read_bytes()

    def sign(self, data: bytes) -> tuple[bytes, bytes]:
        """`InRelease` and `Release.gpg` for a Release file, with a signature of every signer."""
        users = [word for subkey in self.signers for word in ("--local-user", f"{subkey}!")]
        common = ("--digest-algo", "SHA512", "--armor", *users)
        clear = self._gpg(self._signing, *common, "--clear-sign", stdin=data)
        return clear, self._gpg(self._signing, *common, "--detach-sign", stdin=data)

    def _need_primary(self) -> None:
        if not self._primary.is_dir():
            raise RepositoryError(f"{self._primary} is not here; bring the primary key back for this")

    def _entries(self) -> list[dict[str, str]]:
        return list(json.loads(self._list.read_bytes())["signers"]) if self.exist else []

    def _write(self, entries: Sequence[dict[str, str]]) -> None:
        primaries = sorted({each["primary"] for each in entries})
        public = self._gpg(self._primary, "--export-options", "export-minimal", "--export", *primaries)
        write(self.folder / "public.pgp", public)
        # Strictly growing, because the version of the keyring package follows it.
        changed = max(int(time.time()), self.changed + 1 if self.exist else 0)
        content = {"changed": changed, "signers": list(entries)}
        write(self._list, (json.dumps(content, indent=1) + "\n").encode())

    def _fingerprints(self, kind: str) -> list[str]:
        """Of all keys (`pub`) or subkeys (`sub`) in the primary home."""
        found, wanted = [], False
        for line in self._gpg(self._primary, "--with-colons", "--list-keys").decode().splitlines():
            fields = line.split(":")
            if fields[0] == "fpr" and wanted:
                found.append(fields[9])
            wanted = fields[0] == kind
        return found

    def _gpg(self, home: Path, *words: str, stdin: bytes = b"") -> bytes:
        batch = () if "--command-fd=0" in words else ("--batch", "--yes")
        try:
            return run("gpg", "--homedir", str(home), *_QUIET, *batch, *words, stdin=stdin)
        finally:
            with contextlib.suppress(RepositoryError):
                _stop_agent(home)


def _stop_agent(home: Path) -> None:
    """No agent outlives the command: a home may be moved to another disk at any time."""
    run("gpgconf", "--homedir", str(home), "--kill", "all")
    socket = run("gpgconf", "--homedir", str(home), "--list-dirs", "agent-socket").decode().strip()
    deadline = time.monotonic() + _AGENT_S
    # It ends a moment later; the next command would still talk to it.
    while Path(socket).exists() and time.monotonic() < deadline:
        time.sleep(0.01)


def build_keyring(keys: Keys, out: Path) -> Path:
    """Build the package of the public keys in `out`; its version is the time of the keys' last change.

    It is made here and not from debian/: the keys belong to who runs the repository, not to the source.
    """
    epoch = keys.changed
    version = f"{formatdate(epoch, usegmt=True)[12:16]}.{epoch}"
    with tempfile.TemporaryDirectory() as name:
        root = Path(name) / "root"
        _write_keyring(root, keys, version)
        built = Path(name) / f"{KEYRING}_{version}_all.deb"
        run(
            *("dpkg-deb", "--root-owner-group", "--uniform-compression", "--build", str(root), str(built)),
            env={"SOURCE_DATE_EPOCH": str(epoch)},
        )
        return Path(shutil.copy(built, out / built.name))


def _write_keyring(root: Path, keys: Keys, version: str) -> None:
    """The files of the package, as dpkg-deb wants them."""
    doc = root / "usr/share/doc" / KEYRING
    write(root / "usr/share/keyrings" / f"{KEYRING}.pgp", keys.public())
    write(doc / "copyright", _COPYRIGHT.encode())
    changelog = _changelog(version, keys.changed)
    write(doc / "changelog.gz", gzip.compress(changelog.encode(), 9, mtime=0))
    write(root / "DEBIAN/control", _control(version).encode())
    write(root / "DEBIAN/md5sums", _md5sums(root))
    for path in [root, *root.rglob("*")]:
        path.chmod(0o755 if path.is_dir() else 0o644)
        # dpkg-deb lowers times only, and the last change of the keys may be a moment ahead of the clock.
        os.utime(path, (keys.changed, keys.changed))


def _control(version: str) -> str:
    fields = {
        "Package": KEYRING,
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
        f"{KEYRING} ({version}) stable; urgency=medium\n\n  * Keys of this repository.\n\n"
        f" -- {_MAINTAINER}  {formatdate(epoch)}\n"
    )


def _md5sums(root: Path) -> bytes:
    files = sorted(path.relative_to(root) for path in (root / "usr").rglob("*") if path.is_file())
    return run("md5sum", "--", *map(str, files), cwd=root)
