"""Which model a service uses, why, and in which folder it lies; and so which models this machine wants.

Service and fetcher ask the same functions, so they cannot disagree. Imports no service, opens no device.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

from hailo_common.config.common_keys import DEMOS, CommonSettings, installed_services, service_settings
from hailo_common.config.load import load
from hailo_common.config.paths import Paths
from hailo_common.errors import ConfigError
from hailo_common.files import size_text
from hailo_common.models.demos import Demos
from hailo_common.models.machine import GGUF_PACKAGE, Machine, find_machine
from hailo_common.models.manifest import Catalogue, Model, load_catalogue
from hailo_common.models.settings import FetchSettings
from hailo_common.models.store import Store
from hailo_common.npu.versions import version_key

AUTO = "auto"
_MEMORY_SHARE = 0.45
"""Of the machine's memory a model may take so much: the other service and the system want some, too."""
_PLEASANT_S = 15.0
"""A model that answers later than this is nobody's default where another does."""
_RESERVE = 512 << 20


@dataclass(frozen=True)
class ModelSelection:
    """A model that this machine wants, and who wants it."""

    model: Model
    reason: str


@dataclass(frozen=True)
class Selected:
    """What a service is to use: a model of the catalogue, or none; and why."""

    model: Model | None
    reason: str = ""


@dataclass(frozen=True)
class ModelChoice:
    """A folder, and the model for which the one in it only stands in, or which is still to come."""

    folder: Path
    awaited: Model | None = None
    ready: bool = True
    """The folder holds a model."""
    model: Model | None = None
    """The catalogue's model that lies in the folder."""


@dataclass(frozen=True)
class Candidate:
    """A folder that a service takes its model from if one is there, and the catalogue's model in it."""

    folder: Path
    model: Model | None = None

    def ready(self) -> bool:
        """True when a whole model lies there."""
        return Store(self.folder.parent).complete(self.model) if self.model else holds_model(self.folder)


@dataclass(frozen=True)
class ServedFolder:
    """A model of a service: what clients call it (empty for the model's own name), and where it lies."""

    name: str
    choice: ModelChoice
    keep_s: float | None = None
    """Seconds that it stays loaded when it is not used; None leaves it to `keep_alive_s`."""
    places: tuple[Candidate, ...] = ()
    """Where it may come to lie, the best place first."""
    why: str = ""
    """The reason for the best place, or for there being none."""


def selected(service: str, settings: CommonSettings, catalogue: Catalogue, machine: Machine) -> Selected:
    """The model of the catalogue that a service is set to use; none if it uses another folder or a demo.

    ConfigError for a name that is not there, or is another service's.
    """
    if settings.model_dir or settings.model in DEMOS:
        return Selected(None)
    if settings.model != AUTO:
        model = catalogue.find(settings.model)
        if model.service != service:
            raise ConfigError(f"{settings.source('model')}: model: {model.name} is for {model.service}")
        return Selected(model, "its YAML names it")
    return _automatic(service, settings.backend, catalogue, machine)


def selected_models(
    paths: Paths, catalogue: Catalogue, fetch: FetchSettings, machine: Machine
) -> list[ModelSelection]:
    """What the installed services use and what the fetcher's own configuration adds, each once."""
    wanted: dict[str, ModelSelection] = {}
    for service, found in selected_of_services(paths, catalogue, machine):
        if found.model:
            wanted[found.model.name] = ModelSelection(found.model, f"{service} uses it: {found.reason}")
    for name in fetch.models:
        wanted.setdefault(name, ModelSelection(catalogue.find(name), "hailo-fetch.yaml names it"))
    return list(wanted.values())


def selected_of_services(paths: Paths, catalogue: Catalogue, machine: Machine) -> list[tuple[str, Selected]]:
    """What each installed service is to use: one model, or several."""
    found = []
    for service in installed_services():
        settings = load(service_settings(service), service, paths)
        for each in [settings.alone(key.source) for key in settings.served()] or [settings]:
            found.append((service, selected(service, each, catalogue, machine)))
    return found


def choose_folders(
    service: str,
    settings: CommonSettings,
    paths: Paths,
    *,
    demos: Demos,
    machine: Machine | None = None,
) -> list[ServedFolder]:
    """Where each model of a service lies; of a service of one model, that one. See `candidates`."""
    machine = machine or find_machine(paths, settings.hailort_python_path)
    # Read at most once, and not where folders are named: a start waits for it.
    catalogue = cache(partial(load_catalogue, paths))

    def served(name: str, one: CommonSettings, keep_s: float | None = None) -> ServedFolder:
        if one.model_dir or one.model in DEMOS:
            folder = Path(one.model_dir) if one.model_dir else demos.folder(one.model)
            places, why = [Candidate(folder)], ""
        else:
            places, why = candidates(service, one, paths, catalogue(), demos=demos, machine=machine)
        return ServedFolder(name, choose(places), keep_s, tuple(places), why)

    keys = settings.served()
    if not keys:
        return [served("", settings)]
    return [served(key.name, settings.alone(key.source), key.keep_s) for key in keys]


def candidates(
    service: str,
    settings: CommonSettings,
    paths: Paths,
    catalogue: Catalogue,
    *,
    demos: Demos,
    machine: Machine,
) -> tuple[list[Candidate], str]:
    """The folders that a service may take its model from, the best first, and why that one where it chose.

    With `auto`: the service's own folder of old, the manifest's model for this machine, any other default
    that fits it, the demo model of the package. ConfigError for an unknown name.
    """
    store, found = Store(paths.store()), selected(service, settings, catalogue, machine)
    best = found.model
    if settings.model != AUTO and best:
        return [Candidate(store.folder(best), best)], ""
    others = [each for each in _fitting(service, settings.backend, catalogue, machine) if each != best]
    models = [Candidate(store.folder(each), each) for each in ([best] if best else []) + others]
    own, installed = Candidate(paths.models(service)), Candidate(demos.stand_in())
    return [own, *models, installed], found.reason


def choose(places: Sequence[Candidate]) -> ModelChoice:
    """The best folder that holds a model, and the model that is awaited instead of it, or at all."""
    awaited = next((place.model for place in places if place.model), None)
    for place in places:
        if place.ready():
            better = None if place.model == awaited or not _before(places, awaited, place) else awaited
            return ModelChoice(place.folder, better, model=place.model)
    expected = next((place for place in places if place.model), places[0])
    return ModelChoice(expected.folder, awaited, ready=False, model=expected.model)


def holds_model(folder: Path) -> bool:
    """True for a folder with more than the beginning of a model: its `config.json` comes last."""
    return (folder / "config.json").is_file() or any(folder.glob("*.gguf"))


def _before(places: Sequence[Candidate], awaited: Model | None, place: Candidate) -> bool:
    return awaited is not None and [each.model for each in places].index(awaited) < places.index(place)


def _fitting(service: str, backend: str, catalogue: Catalogue, machine: Machine) -> list[Model]:
    """All models that `auto` could take here, the best first."""
    on_npu = [] if backend == "cpu" else [model for model, _ in _loading(service, catalogue, machine)]
    cpu = [] if backend == "npu" else [each for each in catalogue.of_service(service, "cpu") if each.default]
    return on_npu + [each for each in cpu if _runs(each, machine)]


def _automatic(service: str, backend: str, catalogue: Catalogue, machine: Machine) -> Selected:
    on_npu = Selected(None)
    if backend != "cpu" and machine.npu.architecture:
        on_npu = _for_chip(service, catalogue, machine)
    elif backend == "npu":
        on_npu = Selected(None, "no chip, driver and HailoRT are found")
    if on_npu.model or backend == "npu":
        return on_npu
    on_cpu = _for_cpu([each for each in catalogue.of_service(service, "cpu") if each.default], machine)
    return Selected(on_cpu.model, "; ".join(filter(None, (on_npu.reason, on_cpu.reason))))


def _for_chip(service: str, catalogue: Catalogue, machine: Machine) -> Selected:
    driver = machine.npu.driver or "of an unknown release"
    loading = _loading(service, catalogue, machine)
    if not loading:
        return Selected(None, f"no HEF is known to load on this chip with HailoRT {driver}")
    model, why = next(((each, why) for each, why in loading if _has_room(each, machine)), loading[0])
    if model != loading[0][0]:
        why += f", and {loading[0][0].name} has no room on the disk"
    return Selected(model, why)


def _loading(service: str, catalogue: Catalogue, machine: Machine) -> list[tuple[Model, str]]:
    """The default HEFs that load on this chip with this driver, the best first, each with its reason."""
    npu, found = machine.npu, []
    for model in catalogue.of_service(service, "npu"):
        if model.default and model.architecture == npu.architecture:
            rank, why = _rank(model, npu.driver)
            found += [(rank, version_key(model.hailort), model, why)] if rank else []
    found.sort(key=lambda each: each[:2], reverse=True)
    return [(model, why) for _, _, model, why in found]


def _rank(model: Model, driver: str) -> tuple[int, str]:
    """How well a HEF belongs to a driver; 0 for one that does not, or of which nobody knows."""
    key, wanted = version_key(model.hailort), version_key(driver)
    if not driver or key == wanted:
        return 3, f"made for HailoRT {model.hailort}"
    if key[:2] == wanted[:2] and key < wanted:
        return 2, f"made for HailoRT {model.hailort}, which {driver} only corrects"
    if any(version_key(each) == wanted for each in model.loads_on):
        return 1, f"made for HailoRT {model.hailort}, and known to load on {driver}"
    return 0, ""


def _for_cpu(models: list[Model], machine: Machine) -> Selected:
    fitting = [each for each in models if _runs(each, machine)]
    pleasant = [each for each in fitting if machine.seconds(each.seconds) <= _PLEASANT_S]
    missing = {each.format for each in models} - machine.formats
    hint = f"; models of llama.cpp are left out: apt install {GGUF_PACKAGE}" if "gguf" in missing else ""
    memory = f"{size_text(machine.memory)} of memory"
    if pleasant:
        return Selected(
            pleasant[0], f"the largest on the CPU that {memory} {_room_and_time(pleasant[0], machine)}"
        )
    if fitting:
        quickest = min(fitting, key=lambda each: each.seconds)
        seconds = machine.seconds(quickest.seconds)
        return Selected(
            quickest, f"the only kind that runs here, slow: about {seconds:.0f} s an answer{hint}"
        )
    least = min(models, key=lambda each: each.memory, default=None)
    needs = f"; the smallest, {least.name}, takes {size_text(least.memory)}" if least else ""
    return Selected(None, f"no model for the CPU fits {memory} and the disk{needs}{hint}")


def _room_and_time(model: Model, machine: Machine) -> str:
    seconds = machine.seconds(model.seconds)
    return f"has room for ({size_text(model.memory)}) and that answers in good time (about {seconds:.0f} s)"


def _runs(model: Model, machine: Machine) -> bool:
    """Its engine is installed, and there is room for it."""
    fits = model.memory <= machine.memory * _MEMORY_SHARE
    return model.format in machine.formats and fits and _has_room(model, machine)


def _has_room(model: Model, machine: Machine) -> bool:
    """The disk has room for it, or has part of it: a choice must not change while it is carried out."""
    return model.name in machine.begun or model.expected + _RESERVE <= machine.free
