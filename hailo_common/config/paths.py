"""Where configuration and data lie. Knows paths, opens nothing."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

_GENERATED = "/etc/xdg"
_DATA = "/var/lib"


@dataclass(frozen=True)
class Paths:
    """Paths below `root` ("/" but in tests and images), XDG variables taken from `environ`."""

    root: Path = Path("/")
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)

    def layers(self, service: str) -> list[Path]:
        """YAML files that exist, weakest first: package, administrator, fleet tooling."""
        files = [self.package(service), self.admin(service)]
        return [path for path in files if os.path.lexists(path)] + self.dropins(service)

    def package(self, service: str) -> Path:
        """The package's defaults, existing or not."""
        return self._below(f"/usr/share/{service}/{service}.yaml")

    def dropins(self, service: str) -> list[Path]:
        """Fleet tooling's files that exist, weakest first."""
        found = sorted(self.admin(service).with_suffix(".d").glob("*.yaml"))
        return [path for path in found if not path.name.startswith(".")]

    def admin(self, service: str) -> Path:
        """The administrator's YAML, existing or not."""
        return self._below(f"/etc/hailo/{service}.yaml")

    def rendered(self, service: str) -> Path:
        """The JSON that the service reads."""
        return self._below(self._xdg("XDG_CONFIG_HOME", _GENERATED)) / service / f"{service}.json"

    def models(self, service: str, model_dir: str = "") -> Path:
        """The model folder: the key's value, or the service's own below XDG_DATA_HOME."""
        own = self._below(self._xdg("XDG_DATA_HOME", _DATA)) / service / "models"
        return Path(model_dir) if model_dir else own

    def manifests(self) -> list[Path]:
        """Manifests of models that exist: the package's, then additions in the order of their names."""
        files = [self._below("/usr/share/hailo/models.manifest")]
        if not files[0].exists() and self.root == Path("/"):
            files = [Path(__file__).parents[2] / "models.manifest"]
        found = sorted(self.manifest_folder().glob("*.manifest"))
        files += [path for path in found if not path.name.startswith(".")]
        return [path for path in files if os.path.lexists(path)]

    def manifest_folder(self) -> Path:
        """Where an administrator's additions to the manifest lie."""
        return self._below("/etc/hailo/models.d")

    def store(self) -> Path:
        """Where fetched models lie, one folder each."""
        return self._below("/var/lib/hailo-models")

    def demos(self) -> Path:
        """Where the demo models of their package lie."""
        return self._below("/usr/share/hailo-demo-models")

    def _xdg(self, variable: str, default: str) -> str:
        value = self.environ.get(variable, "")
        # The XDG specification: a relative path is invalid and to be ignored.
        return value if value.startswith("/") else default

    def _below(self, path: str) -> Path:
        return self.root / path.lstrip("/")
