"""apt's own decisions on a machine that is made of a few files."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path


@dataclass
class Apt:
    """What is installed, what there is to install, whose repository that is, and apt's preferences."""

    folder: Path
    installed: list[str] = field(default_factory=list)
    archive: list[str] = field(default_factory=list)
    origin: str = "somebody"
    preferences: str = ""

    def install(self, *names: str) -> tuple[set[str], set[str]]:
        """What would be installed and what removed."""
        said = self.simulate("install", *names)
        return set(re.findall(r"^Inst (\S+)", said, re.MULTILINE)), set(
            re.findall(r"^Remv (\S+)", said, re.MULTILINE)
        )

    def versions(self, *words: str) -> set[tuple[str, str]]:
        """Names and versions that a command of apt-get would bring, older ones too."""
        said = self.simulate(*words, "--allow-downgrades")
        return set(re.findall(r"^Inst (\S+) (?:\[\S+\] )?\((\S+)", said, re.MULTILINE))

    def simulate(self, *words: str) -> str:
        """What apt-get says that it would do."""
        self._write()
        self._run("update", "-qq")
        return self._run(*words, "--simulate", "--yes")

    def _write(self) -> None:
        for part in ("etc", "lists/partial", "cache/archives/partial", "repository"):
            (self.folder / part).mkdir(parents=True, exist_ok=True)
        status = "\n".join(f"{each}Status: install ok installed\n" for each in self.installed)
        rows = "\n".join(
            f"{each}Filename: ./{number}.deb\nSize: 1000\nSHA256: {number:064d}\n"
            for number, each in enumerate(self.archive)
        )
        packages = f"{sha256(rows.encode()).hexdigest()} {len(rows.encode())} Packages"
        for name, text in {
            "status": status,
            "repository/Packages": rows,
            "repository/Release": f"Origin: {self.origin}\nSuite: stable\nSHA256:\n {packages}\n",
            "etc/preferences": self.preferences,
            "etc/sources.list": f"deb [trusted=yes] file:{self.folder}/repository ./\n",
        }.items():
            (self.folder / name).write_text(text, encoding="utf-8")

    def _run(self, *words: str) -> str:
        options = {
            "Dir::Etc": f"{self.folder}/etc",
            "Dir::State::lists": f"{self.folder}/lists",
            "Dir::State::status": f"{self.folder}/status",
            "Dir::Cache": f"{self.folder}/cache",
            "APT::Architecture": "arm64",
            "APT::Install-Recommends": "true",
            "APT::Sandbox::User": "",
            "Debug::NoLocking": "true",
        }
        chosen = [word for key, value in options.items() for word in ("-o", f"{key}={value}")]
        environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C", "APT_CONFIG": "/dev/null"}
        done = subprocess.run(
            ["apt-get", *chosen, *words],
            env=environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout
