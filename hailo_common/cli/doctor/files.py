"""Configuration and models: what lies on the disk."""

from __future__ import annotations

import re
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hailo_common.cli.doctor.check import CheckResult, System
from hailo_common.cli.doctor.chip import installed_library
from hailo_common.cli.doctor.services import unit_state
from hailo_common.config.common_keys import FETCH, BaseSettings, CommonSettings, settings_of
from hailo_common.config.load import load
from hailo_common.config.render import rendered
from hailo_common.errors import ConfigError
from hailo_common.files import size_text
from hailo_common.models.demos import Demos, find_demos
from hailo_common.models.listing import model_rows
from hailo_common.models.machine import Machine, NpuPresence, machine_of
from hailo_common.models.manifest import Model, load_catalogue
from hailo_common.models.selection import choose_folders
from hailo_common.npu.device_nodes import driver_version, sysfs_devices


def check_configuration(system: System) -> Iterator[CheckResult]:
    """Is the YAML valid, and is it in use?"""
    for name in (*system.services, FETCH):
        area = f"{name}: configuration"
        try:
            settings = load(settings_of(name), name, system.paths)
        except ConfigError as error:
            remedy = f"correct the file, then: hailo-ctl config check {name}"
            for problem in str(error).splitlines():
                yield CheckResult(area, "fail", problem, remedy)
        else:
            yield from _open_to_all(name, settings)
            yield (
                CheckResult(area, "ok", "is valid")
                if name == FETCH
                else _in_use(area, system, name, settings)
            )


def _open_to_all(name: str, settings: BaseSettings) -> Iterator[CheckResult]:
    """Files with keys that everybody on this machine may read."""
    holding = [Path(getattr(settings, key, "") or "/") for key in ("api_key_file", "gateway_key_file")]
    secret = [
        key.name for key in settings.table() if key.secret and getattr(settings, key.name) != key.default
    ]
    holding += [Path(settings.source(key).rpartition(":")[0] or "/") for key in secret]
    for path in dict.fromkeys(holding):
        try:
            status = path.stat()
        except OSError:
            continue
        if stat.S_ISREG(status.st_mode) and status.st_mode & stat.S_IROTH:
            text = f"everybody on this machine may read the keys in {path}"
            yield CheckResult(f"{name}: keys", "warn", text, f"chmod o= {path}; make new keys")


def _in_use(area: str, system: System, name: str, settings: BaseSettings) -> CheckResult:
    path = system.paths.rendered(name)
    try:
        current = path.read_bytes() == rendered(settings)
    except FileNotFoundError:
        return CheckResult(area, "fail", f"{path} is missing", f"hailo-ctl config render {name}")
    except PermissionError:
        text = f"{path} contains a key and cannot be read by this user; try with sudo"
        return CheckResult(area, "unseen", text)
    if current:
        return CheckResult(area, "ok", "is valid and in use")
    return CheckResult(area, "warn", "was changed since the last start", f"systemctl restart {name}")


def check_models(system: System) -> Iterator[CheckResult]:
    """Is the model of each service here?"""
    machine = _machine(system)
    try:
        rows = model_rows(system.paths, machine)
        problems = load_catalogue(system.paths).problems
    except ConfigError as error:
        yield CheckResult("models", "fail", str(error), "correct the manifest; see models.manifest(5)")
        return
    for problem in problems:
        yield CheckResult(
            "models", "fail", problem, "correct the manifest, or remove it; its models are left out"
        )
    yield from (_wanted(row) for row in rows if row["wanted"])
    for name in system.services:
        yield from _used(system, name, machine)


def _wanted(row: dict[str, Any]) -> CheckResult:
    if not row["missing"]:
        return CheckResult("models", "ok", f"{row['name']} is complete")
    fetch = row["fetch"] or {}
    if "progress" in fetch:
        return CheckResult("models", "ok", f"{row['name']} is being fetched: {fetch['progress']}")
    why = f"; the last fetch: {fetch['problem']}" if "problem" in fetch else ""
    some = ", ".join(row["missing"][:3]) + (" ..." if len(row["missing"]) > 3 else "")
    return CheckResult(
        "models",
        "warn",
        f"{row['name']} ({size_text(row['bytes'])}) is {row['state']}: {some}{why}",
        f"hailo-ctl models fetch {row['name']}",
    )


def _used(system: System, name: str, machine: Machine | None) -> Iterator[CheckResult]:
    area = f"{name}: model"
    try:
        settings = load(settings_of(name), name, system.paths)
        assert isinstance(settings, CommonSettings)
        demos = find_demos(name, system.paths)
        served = choose_folders(name, settings, system.paths, demos=demos, machine=machine)
    except ConfigError as error:
        yield CheckResult(area, "fail", str(error), f"hailo-ctl config set {name} model=auto")
        return
    for each in served:
        yield _folder(f"{area} {each.name}".rstrip(), each.choice.folder, demos)
        yield from _wanted_memory(system, name, each.choice.model)


def _machine(system: System) -> Machine | None:
    """What models can count on, by the files of the machine that is looked at; None for the running one."""
    if system.live:
        return None
    root = system.paths.root
    here = any(device.supported for device in sysfs_devices(root)) and installed_library(system)
    return machine_of(
        system.paths,
        npu=NpuPresence("hailo10h", driver_version(root)) if here else NpuPresence(),
        memory=system.memory().get("MemTotal", 0),
        cores=max(1, len(re.findall(r"^processor\s*:", system.read("/proc/cpuinfo"), re.MULTILINE))),
        wheel=False,
    )


def _wanted_memory(system: System, name: str, model: Model | None) -> Iterator[CheckResult]:
    """Whether a model that is not loaded yet has room."""
    free = system.memory().get("MemAvailable")
    active = (unit_state(system, f"{name}.service") or {}).get("ActiveState") == "active"
    if model is None or free is None or active:
        return
    if model.memory > free:
        text = f"{model.name} takes about {size_text(model.memory)} of memory, and {size_text(free)} are free"
        remedy = f"stop other programs, or: hailo-ctl config set {name} model=...; hailo-ctl models list"
        yield CheckResult(f"{name}: model", "warn", text, remedy)


def _folder(area: str, folder: Path, demos: Demos) -> CheckResult:
    if knows := demos.knows(folder):
        remedy = f"it knows {knows}; for any image: hailo-ctl models fetch"
        return CheckResult(area, "warn", "runs on the demo model", remedy)
    if not folder.is_dir():
        remedy = "hailo-ctl models fetch; or for a first try: apt install hailo-demo-models"
        return CheckResult(area, "fail", f"{folder} does not exist", remedy)
    return CheckResult(area, "ok", str(folder))
