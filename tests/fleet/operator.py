"""An operator with a repository of small packages, and a web server that shows it."""

from __future__ import annotations

import functools
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from fleet.repository.keys import Keys
from fleet.repository.repository import Repository
from tests.machine.roots import Root, sh

NAME = "hailo-trial"
KEYRING = "hailo-appliance-archive-keyring"
STRICT = (
    "-o Acquire::Check-Valid-Until=true -o Acquire::Check-Date=true -o APT::Update::Error-Mode=any"
    " -o Acquire::Retries=0 -o Acquire::AllowInsecureRepositories=false -o Acquire::By-Hash=yes"
)
"""The freshness checks of a machine may be off; those of these tests are on."""


class Operator:
    """One repository below `folder`."""

    def __init__(self, folder: Path, url: str = "http://repository.test") -> None:
        self.published, self.url = folder / "repository", url
        self.keys = Keys(folder / "keys")
        self._debs = folder / "debs"
        self._debs.mkdir(parents=True)

    def repository(self, valid_days: int = 0) -> Repository:
        """The tool on the published folder, with the history of now."""
        return Repository(self.published, self.keys, url=self.url, valid_days=valid_days)

    def publish(self, version: str, valid_days: int = 0) -> None:
        """Build a package and publish it as candidate and stable."""
        repository = self.repository(valid_days)
        repository.publish([self.build(version)], "Test repository")
        repository.promote()

    def build(self, version: str, content: str = "") -> Path:
        """A package that holds its version."""
        root = self._debs / f"root-{version}"
        (root / "DEBIAN").mkdir(parents=True, exist_ok=True)
        (root / "usr/share" / NAME).mkdir(parents=True, exist_ok=True)
        (root / "usr/share" / NAME / "version").write_text(f"{version}\n{content}")
        (root / "DEBIAN/control").write_text(
            f"Package: {NAME}\nVersion: {version}\nArchitecture: all\nSource: hailo-appliance\n"
            "Maintainer: Nobody <nobody@repository.test>\nDescription: trial\n trial\n"
        )
        deb = self._debs / f"{NAME}_{version}_all.deb"
        sh("dpkg-deb", "--root-owner-group", "--build", root, deb)
        return deb

    @property
    def state(self) -> Path:
        """The folder that `stable` shows now."""
        return (self.published / "dists/stable").resolve()


class Node:
    """A Debian 13 that knows only this repository."""

    def __init__(self, root: Root, url: str, keyring: bytes) -> None:
        self.root = root
        root.file("/etc/apt/sources.list").unlink(missing_ok=True)
        for old in root.file("/etc/apt/sources.list.d").iterdir():
            old.unlink()
        root.file(f"/usr/share/keyrings/{KEYRING}.pgp").write_bytes(keyring)
        root.file("/etc/apt/sources.list.d/hailo-appliance.sources").write_text(
            f"Types: deb\nURIs: {url}\nSuites: stable\nComponents: main\n"
            f"Signed-By: /usr/share/keyrings/{KEYRING}.pgp\n"
        )

    def apt(self, words: str) -> tuple[int, str]:
        """Status and both outputs of apt-get."""
        done = self.root.run(f"exec 2>&1\napt-get -y -q {STRICT} {words}", check=False)
        return done.returncode, done.stdout

    def good(self, words: str) -> str:
        """The output of apt-get, which must succeed without a warning."""
        status, output = self.apt(words)
        assert status == 0, output
        assert "\nW:" not in output, output
        return output

    def candidate(self) -> str:
        """The version that apt would install."""
        output = self.root.run(f"apt-cache policy {NAME}").stdout
        return next((line.split()[1] for line in output.splitlines() if "Candidate:" in line), "")

    def installed(self) -> str:
        """The version that is installed, as its own file says."""
        return self.root.file(f"/usr/share/{NAME}/version").read_text().split("\n", 1)[0]


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """Show a folder by HTTP; yields its URL."""
    folder.mkdir(parents=True, exist_ok=True)
    handler = functools.partial(_Quiet, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""
