"""The layered YAML as one JSON file that the service reads."""

from __future__ import annotations

import json
import os
from pathlib import Path

from hailo_common.atomic import remove_stray, write_atomic
from hailo_common.config.keys import plain_json
from hailo_common.config.settings import BaseSettings
from hailo_common.errors import unusable


def rendered(settings: BaseSettings) -> bytes:
    """All keys with their effective values, in the table's order."""
    values = {key.name: plain_json(getattr(settings, key.name)) for key in settings.table()}
    return (json.dumps(values, indent=2, ensure_ascii=False) + "\n").encode()


def render(settings: BaseSettings, path: Path) -> bool:
    """Write the JSON atomically; False when the file has this content already.

    With a secret in it the file is nobody's but its owner's and its group's; it takes the folder's group.
    """
    data = rendered(settings)
    secret = any(key.secret and getattr(settings, key.name) != key.default for key in settings.table())
    try:
        if secret and path.is_file():
            path.chmod(path.stat().st_mode & 0o770)
        if path.is_file() and path.read_bytes() == data:
            remove_stray(path)
            return False
        path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        write_atomic(path, data, 0o640 if secret else 0o644)
        if secret and os.geteuid() == 0:
            os.chown(path, -1, path.parent.stat().st_gid)
    except OSError as error:
        raise unusable(path, "written", error) from None
    return True
