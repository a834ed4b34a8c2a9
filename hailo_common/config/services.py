"""Finding a service's table by the service's name, without importing services from here."""

from __future__ import annotations

import importlib
import re
from importlib.util import find_spec

from hailo_common.config.settings import BaseSettings, CommonSettings
from hailo_common.errors import ConfigError

_NAME = re.compile(r"hailo-[a-z]+")
FETCH = "hailo-fetch"
"""Not a service, but configured like one."""
_SERVICES = ("hailo-florence", "hailo-vision")
_FETCH_MODULE = "hailo_common.models.settings"


def settings_of(service: str) -> type[BaseSettings]:
    """`hailo_NAME.config.Settings` of the service `hailo-NAME`, and the settings of the model fetcher."""
    module = _FETCH_MODULE if service == FETCH else service.replace("-", "_") + ".config"
    try:
        if not _NAME.fullmatch(service):
            raise ModuleNotFoundError(name=module)
        settings: type[BaseSettings] = importlib.import_module(module).Settings
    except ModuleNotFoundError as error:
        if error.name not in (module, module.split(".")[0]):
            raise
        raise ConfigError(f"{service!r} is no service that is installed here") from None
    return settings


def installed_services() -> list[str]:
    """The services whose packages are installed, sorted; the model fetcher is none of them."""
    return [service for service in _SERVICES if find_spec(service.replace("-", "_"))]


def service_settings(service: str) -> type[CommonSettings]:
    """The settings of a service that answers requests; ConfigError for any other name."""
    settings = settings_of(service)
    if not issubclass(settings, CommonSettings):
        raise ConfigError(f"{service!r} is no service that answers requests")
    return settings
