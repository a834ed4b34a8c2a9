"""Configuration and models: what lies on the disk."""

from __future__ import annotations

from collections.abc import Iterator

from hailo_common.cli.doctor.finding import CheckResult, System
from hailo_common.cli.models import model_rows
from hailo_common.config.common_keys import FETCH, CommonSettings, settings_of
from hailo_common.config.load import load
from hailo_common.config.render import rendered
from hailo_common.errors import ConfigError
from hailo_common.files import size_text
from hailo_common.models.manifest import load_catalogue
from hailo_common.models.selection import choose_folder

DEMO_NAMES = {"hailo-vision": "qwen2-vl", "hailo-florence": "florence-2"}


def check_configuration(patient: System) -> Iterator[CheckResult]:
    """Can the YAML be used, and is it in use?"""
    for name in (*patient.services, FETCH):
        area = f"{name}: configuration"
        try:
            settings = load(settings_of(name), name, patient.places)
        except ConfigError as error:
            for problem in str(error).splitlines():
                yield CheckResult(
                    area, "fail", problem, f"correct the file, then: hailo-ctl config check {name}"
                )
            continue
        if name == FETCH:
            yield CheckResult(area, "ok", "can be used")
            continue
        path = patient.places.rendered(name)
        try:
            current = path.read_bytes() == rendered(settings)
        except FileNotFoundError:
            yield CheckResult(area, "fail", f"{path} is missing", f"hailo-ctl config render {name}")
            continue
        except PermissionError:
            yield CheckResult(area, "unseen", f"{path} holds a key and may not be read; try with sudo")
            continue
        if current:
            yield CheckResult(area, "ok", "can be used and is in use")
        else:
            yield CheckResult(area, "warn", "was changed since the last start", f"systemctl restart {name}")


def check_models(patient: System) -> Iterator[CheckResult]:
    """Is the model of each service here?"""
    try:
        rows = {row["name"]: row for row in model_rows(patient.places)}
        load_catalogue(patient.places)
    except ConfigError as error:
        yield CheckResult("models", "fail", str(error), "correct the manifest; see models.manifest(5)")
        return
    for row in rows.values():
        if row["wanted"] and row["missing"]:
            accept = " --accept" if row["unpinned"] else ""
            some = ", ".join(row["missing"][:3]) + (" ..." if len(row["missing"]) > 3 else "")
            yield CheckResult(
                "models",
                "warn",
                f"{row['name']} ({size_text(row['bytes'])}) is {row['state']}: {some}",
                f"hailo-ctl models fetch{accept} {row['name']}",
            )
        elif row["wanted"]:
            yield CheckResult("models", "ok", f"{row['name']} is complete")
    for name in patient.services:
        yield from _used(patient, name)


def _used(patient: System, name: str) -> Iterator[CheckResult]:
    try:
        settings = load(settings_of(name), name, patient.places)
        assert isinstance(settings, CommonSettings)
        demo_name = DEMO_NAMES.get(name, "")
        demo = patient.places.demos() / demo_name
        choice = choose_folder(name, settings, patient.places, demo=demo, demo_name=demo_name)
    except ConfigError as error:
        yield CheckResult(f"{name}: model", "fail", str(error), f"hailo-ctl config set {name} model=auto")
        return
    if choice.folder == demo:
        remedy = "it knows coloured shapes only; for pictures: hailo-ctl models fetch"
        yield CheckResult(f"{name}: model", "warn", "runs on the demo model", remedy)
    elif not choice.folder.is_dir():
        remedy = "hailo-ctl models fetch; or for a first try: apt install hailo-demo-models"
        yield CheckResult(f"{name}: model", "fail", f"nothing is in {choice.folder}", remedy)
    else:
        yield CheckResult(f"{name}: model", "ok", str(choice.folder))
