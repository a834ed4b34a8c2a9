"""Finding a service's table by the service's name, without importing services from here."""

from __future__ import annotations

import importlib
import re

from hailo_common.config.settings import CommonSettings
from hailo_common.errors import ConfigError

_NAME = re.compile(r"hailo-[a-z]+")


def settings_of(service: str) -> type[CommonSettings]:
    """`hailo_NAME.config.Settings` of the service `hailo-NAME`."""
    module = service.replace("-", "_") + ".config"
    try:
        if not _NAME.fullmatch(service):
            raise ModuleNotFoundError(name=module)
        settings: type[CommonSettings] = importlib.import_module(module).Settings
    except ModuleNotFoundError as error:
        if error.name not in (module, module.split(".")[0]):
            raise
        raise ConfigError(f"{service!r} is no service that is installed here") from None
    return settings
