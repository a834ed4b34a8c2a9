"""The API keys of a service: those of its configuration and those of the key file."""

from __future__ import annotations

import logging
import stat
from pathlib import Path

from hailo_common.config.entries import read_text
from hailo_common.config.rules import is_api_key
from hailo_common.config.settings import CommonSettings
from hailo_common.errors import ConfigError
from hailo_common.web.keys import Keys

_log = logging.getLogger(__name__)


def api_keys(settings: CommonSettings) -> Keys:
    """All keys; ConfigError for a key file that cannot be read or holds no key. No message shows a key."""
    path = Path(settings.api_key_file) if settings.api_key_file else None
    return Keys([*settings.api_keys, *(_from_file(path) if path else ())])


def _from_file(path: Path) -> list[str]:
    keys = []
    for number, line in enumerate(read_text(path).splitlines(), 1):
        key = line.strip()
        if not key or key.startswith("#"):
            continue
        if not is_api_key(key):
            raise ConfigError(f"{path}:{number}: a key must be 8 to 256 visible ASCII characters")
        keys.append(key)
    if not keys:
        # An empty file must not open the service to everybody.
        raise ConfigError(f"{path}: holds no key")
    if path.stat().st_mode & stat.S_IROTH:
        _log.warning("everybody on this machine may read the key file %s", path)
    return keys
