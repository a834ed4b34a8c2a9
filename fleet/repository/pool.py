"""The pool: package files under names that never change their content, and their stanzas for `Packages`."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from fleet.repository.tools import RepositoryError, run

ARCHITECTURES = ("amd64", "arm64")
_SHA256_ONLY = [
    word for name in ("MD5", "SHA1", "SHA512") for word in ("-o", f"APT::FTPArchive::{name}=false")
]


@dataclass(frozen=True, order=True)
class Package:
    """What one package file is."""

    name: str
    version: str
    architecture: str

    @property
    def file(self) -> str:
        """Its name in the pool; an epoch's colon would need quoting in URLs."""
        return f"{self.name}_{self.version.replace(':', '%3a')}_{self.architecture}.deb"


def read_package(path: Path) -> Package:
    """Name, version and architecture of a package file."""
    told = run("dpkg-deb", "--show", "--showformat=${Package} ${Version} ${Architecture}", str(path)).decode()
    name, version, architecture = told.split()
    return Package(name, version, architecture)


class Pool:
    """The package files of a repository."""

    def __init__(self, repository: Path) -> None:
        self._repository = repository
        self.folder = repository / "pool"

    def add(self, paths: Iterable[Path]) -> list[Package]:
        """Take package files in. A version that is here already must be the same file, byte for byte."""
        self.folder.mkdir(parents=True, exist_ok=True)
        packages = []
        for path in paths:
            package = read_package(path)
            if package.architecture not in (*ARCHITECTURES, "all"):
                raise RepositoryError(f"{path}: architecture {package.architecture} is not served here")
            self._take(path, self.folder / package.file)
            packages.append(package)
        return packages

    def _take(self, path: Path, target: Path) -> None:
        data = path.read_bytes()
        if target.exists():
            if target.read_bytes() != data:
                raise RepositoryError(
                    f"{path}: {target.name} is published already with other content;"
                    " build it with a higher version"
                )
            return
        part = target.with_suffix(".part")
        part.write_bytes(data)
        with part.open("rb") as file:
            os.fsync(file.fileno())
        part.chmod(0o644)
        part.rename(target)

    def stanzas(self) -> dict[Package, str]:
        """The `Packages` stanza of every file, with SHA-256 and no weaker checksum."""
        cache = ("--db", str(self._repository / ".apt-ftparchive.db"))
        told = run("apt-ftparchive", *_SHA256_ONLY, *cache, "packages", "pool", cwd=self._repository)
        found = {}
        for stanza in told.decode().strip().split("\n\n"):
            fields = dict(
                line.split(": ", 1) for line in stanza.splitlines() if ": " in line and line[0] != " "
            )
            if fields:
                key = Package(fields["Package"], fields["Version"], fields["Architecture"])
                found[key] = stanza
        return found
