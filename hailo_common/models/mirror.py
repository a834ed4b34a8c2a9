"""Models for many nodes: the manifest of a mirror, in which every file has its checksum. Opens no URL."""

from __future__ import annotations

import json
from collections.abc import Iterable

from hailo_common.errors import ConfigError
from hailo_common.models.manifest import SCHEMA, Model
from hailo_common.models.pins import Pins
from hailo_common.models.store import Store

NAME = "mirror.manifest"
"""Put on nodes as /etc/hailo/models.d/mirror.manifest, it makes them accept exactly the mirror's files."""
_HEAD = """\
# The models of this mirror with the checksums of their files. On a node: /etc/hailo/models.d/mirror.manifest
"""


def manifest_of(models: Iterable[Model], store: Store) -> str:
    """The text of a manifest of complete models, stated and pinned checksums alike.

    ConfigError names a file that is not there, or of which nobody knows what it must be.
    """
    pins = Pins(store.root)
    lines = [_HEAD + f"schema: {SCHEMA}", "models:"]
    for model in models:
        lines += [f"  {model.name}:", *_fields(model), "    files:"]
        for file in model.files:
            path, digest = store.path(model, file), pins.digest(file)
            if digest is None or not path.is_file():
                raise ConfigError(f"{model.name}: {file.path} is not in {store.root}, or has no checksum")
            lines += [f"      - path: {json.dumps(file.path)}", f"        sha256: {digest}"]
            if size := path.stat().st_size:
                lines.append(f"        size: {size}")
            if file.urls:
                lines.append(f"        urls: {json.dumps(list(file.urls))}")
    return "\n".join(lines) + "\n"


def _fields(model: Model) -> list[str]:
    names = ("service", "backend", "architecture", "hailort", "about", "licence", "homepage")
    values = {name: str(getattr(model, name)) for name in names}
    lines = [f"    {name}: {json.dumps(value)}" for name, value in values.items() if value]
    return [*lines, *(["    default: true"] if model.default else [])]
