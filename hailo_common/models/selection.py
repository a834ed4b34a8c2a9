"""Which model a service uses and in which folder it lies, and so which models this machine wants.

Service and fetcher ask the same functions, so they cannot disagree. Imports no service, opens no device.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from hailo_common.config.common_keys import CommonSettings, installed_services, service_settings
from hailo_common.config.load import load
from hailo_common.config.paths import Paths
from hailo_common.errors import ConfigError
from hailo_common.models.manifest import Catalogue, Model, load_catalogue
from hailo_common.models.settings import FetchSettings
from hailo_common.models.store import Store
from hailo_common.npu.device_nodes import device_nodes, driver_version, sysfs_devices
from hailo_common.npu.versions import version_key

AUTO, DEMO = "auto", "demo"


@dataclass(frozen=True)
class NpuPresence:
    """The NPU as far as it decides which model fits; `architecture` is empty without one."""

    architecture: str = ""
    driver: str = ""


@dataclass(frozen=True)
class ModelSelection:
    """A model that this machine wants, and who wants it."""

    model: Model
    reason: str


@dataclass(frozen=True)
class ModelChoice:
    """A folder, and the model for which the one in it only stands in."""

    folder: Path
    awaited: Model | None = None


@dataclass(frozen=True)
class ServedFolder:
    """A model of a service: what clients call it (empty for the model's own name), and where it lies."""

    name: str
    choice: ModelChoice
    keep_s: float | None = None
    """Seconds that it stays loaded when it is not used; None leaves it to `keep_alive_s`."""


def find_npu(root: Path | None = None) -> NpuPresence:
    """Look at the driver's files. The device node is not needed: it may be hidden from us."""
    devices = sysfs_devices(root)
    if find_spec("hailo_platform") is None or not (devices or device_nodes(root)):
        return NpuPresence()
    supported = not devices or any(device.supported for device in devices)
    return NpuPresence("hailo10h" if supported else "hailo8", driver_version(root))


def model_of(service: str, settings: CommonSettings, catalogue: Catalogue, npu: NpuPresence) -> Model | None:
    """The model of the catalogue that a service is set to use, None if it uses another folder or the demo.

    ConfigError for a name that is not there, or is another service's.
    """
    if settings.model_dir or settings.model == DEMO:
        return None
    if settings.model != AUTO:
        model = catalogue.find(settings.model)
        if model.service != service:
            raise ConfigError(f"{settings.source('model')}: model: {model.name} is for {model.service}")
        return model
    fitting = (
        _newest_fitting(catalogue.of_service(service, "npu"), npu) if settings.backend != "cpu" else None
    )
    if fitting or settings.backend == "npu":
        return fitting
    return next((each for each in catalogue.of_service(service, "cpu") if each.default), None)


def selected_models(
    paths: Paths, catalogue: Catalogue, fetch: FetchSettings, npu: NpuPresence
) -> list[ModelSelection]:
    """What the installed services use and what the fetcher's own configuration adds, each once."""
    wanted: dict[str, ModelSelection] = {}
    for service in installed_services():
        settings = load(service_settings(service), service, paths)
        for each in [settings.alone(key.source) for key in settings.served()] or [settings]:
            model = model_of(service, each, catalogue, npu)
            if model:
                wanted[model.name] = ModelSelection(model, f"{service} uses it")
    for name in fetch.models:
        wanted.setdefault(name, ModelSelection(catalogue.find(name), "hailo-fetch.yaml names it"))
    return list(wanted.values())


def choose_folder(
    service: str,
    settings: CommonSettings,
    paths: Paths,
    *,
    demo: Path,
    demo_name: str,
    npu: NpuPresence | None = None,
) -> ModelChoice:
    """Where the model lies, or is going to. ConfigError for a name that no manifest has.

    With `auto`, in this order: the service's own folder of old if it holds a model, the manifest's model for
    this machine if it is complete, the demo model if its package is installed, else the manifest's model,
    to be waited for.
    """
    if settings.model_dir:
        return ModelChoice(Path(settings.model_dir))
    if settings.model == DEMO:
        return ModelChoice(demo)
    own = paths.models(service)
    if settings.model == AUTO and (own / "config.json").is_file():
        return ModelChoice(own)
    store = Store(paths.store())
    model = model_of(service, settings, load_catalogue(paths), find_npu() if npu is None else npu)
    if model is None:
        return ModelChoice(own)
    installed = paths.demos() / demo_name
    if settings.model == AUTO and not store.complete(model) and (installed / "config.json").is_file():
        return ModelChoice(installed, awaited=model)
    return ModelChoice(store.folder(model))


def choose_folders(
    service: str,
    settings: CommonSettings,
    paths: Paths,
    *,
    demo: Path,
    demo_name: str,
    npu: NpuPresence | None = None,
) -> list[ServedFolder]:
    """Where each model of a service lies; of a service of one model, that one. See `choose_folder`."""

    def chosen(one: CommonSettings) -> ModelChoice:
        return choose_folder(service, one, paths, demo=demo, demo_name=demo_name, npu=npu)

    keys = settings.served()
    if not keys:
        return [ServedFolder("", chosen(settings))]
    return [ServedFolder(key.name, chosen(settings.alone(key.source)), key.keep_s) for key in keys]


def arrived(choice: ModelChoice, paths: Paths) -> bool:
    """True once the model that is waited for is complete."""
    return choice.awaited is not None and Store(paths.store()).complete(choice.awaited)


def _newest_fitting(models: list[Model], npu: NpuPresence) -> Model | None:
    """The newest default not newer than the driver: HEFs of older releases load, newer ones do not."""
    fitting = [each for each in models if each.default and each.architecture == npu.architecture]
    old_enough = [
        each for each in fitting if not npu.driver or version_key(each.hailort) <= version_key(npu.driver)
    ]
    return max(old_enough, key=lambda each: version_key(each.hailort), default=None)
