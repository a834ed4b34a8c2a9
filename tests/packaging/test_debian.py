"""Names, defaults and translations in debian/ agree with the tables of keys."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from hailo_common import __version__
from hailo_common.config.common_keys import FETCH, settings_of
from hailo_common.config.schema import shown
from hailo_common.models.integrity import COMPLAINTS

TREE = Path(__file__).parents[2]
DEBIAN = TREE / "debian"
SERVICES = {"hailo-vision": "service", "hailo-florence": "service"}
SCRIPTS = [("hailo-vision", "service"), ("hailo-florence", "service"), (FETCH, "hailo-common")]


def rules_value(name: str) -> str:
    """What debian/rules puts in the place of a name."""
    text = (DEBIAN / "rules").read_text(encoding="utf-8")
    return str(re.findall(rf"^{name} := (.*)$", text, re.MULTILINE)[0])


def filled(name: str, program: str) -> str:
    """A file of debian/ with a service's values in it."""
    text = (DEBIAN / name).read_text(encoding="utf-8")
    if program == FETCH:
        return text
    return text.replace("@SERVICE@", program).replace("@PORT@", rules_value(f"PORT_{program}"))


@pytest.mark.parametrize(("program", "stem"), SCRIPTS)
def test_the_scripts_know_the_defaults(program: str, stem: str) -> None:
    defaults = {key.name: key.default for key in settings_of(program).table()}
    for kind in ("config", "postinst"):
        line = re.findall(r'^KEYS="(.*)"$', filled(f"{stem}.{kind}.in", program), re.MULTILINE)[0]
        for pair in line.split():
            name, _, value = pair.partition("=")
            assert value == str(defaults[name]), (kind, name)


@pytest.mark.parametrize(("program", "stem"), SCRIPTS)
def test_the_questions_know_the_defaults(program: str, stem: str) -> None:
    suffix = ".templates.in" if stem == "service" else ".templates"
    defaults = {key.name: key.default for key in settings_of(program).table()}
    asked = filled(f"{stem}{suffix}", program).split("\n\n")
    names = []
    for question in asked:
        fields = dict(re.findall(r"^(Template|Default|Choices): ?(.*)$", question, re.MULTILINE))
        name = fields["Template"].partition("/")[2]
        names.append(name)
        if name == "api_key":
            assert "Default" not in fields
            continue
        assert fields["Default"] == str(defaults[name])
        rule = next(key.rule for key in settings_of(program).table() if key.name == name)
        for choice in filter(None, fields.get("Choices", "").split(", ")):
            assert rule.convert(choice) == choice
    keys = re.findall(r'^KEYS="(.*)"$', filled(f"{stem}.config.in", program), re.MULTILINE)[0].split()
    assert [name for name in names if name != "api_key"] == [pair.partition("=")[0] for pair in keys]


@pytest.mark.parametrize("service", SERVICES)
def test_the_units_know_the_defaults(service: str) -> None:
    defaults = {key.name: key.default for key in settings_of(service).table()}
    assert rules_value(f"PORT_{service}") == shown(defaults["port"])
    assert rules_value(f"MEMORY_{service}") == f"{int(str(defaults['memory_max_mb'])) // 1024}G"


def test_the_timer_knows_the_default() -> None:
    defaults = {key.name: key.default for key in settings_of(FETCH).table()}
    timer = (DEBIAN / "hailo-common.hailo-fetch.timer").read_text(encoding="utf-8")
    assert re.findall(r"^RandomizedDelaySec=([0-9]+)h$", timer, re.MULTILINE) == [
        f"{float(str(defaults['spread_s'])) / 3600:g}"
    ]


def test_services_can_tell_the_fetcher_of_damaged_models() -> None:
    """The folder, who may write into it, and the unit that looks at it name the same place."""
    place = f"/var/lib/hailo-models/{COMPLAINTS}"
    unit = (DEBIAN / "hailo-common.hailo-fetch.path").read_text(encoding="utf-8")
    assert f"DirectoryNotEmpty={place}\n" in unit
    assert "hailo-fetch.path" in (DEBIAN / "rules").read_text(encoding="utf-8")
    folders = (DEBIAN / "hailo-common.tmpfiles").read_text(encoding="utf-8")
    assert f"d {place} 1730 hailo-fetch hailo-devices -\n" in folders
    assert f"ReadWritePaths=-{place}\n" in (DEBIAN / "service.service.in").read_text(encoding="utf-8")


def test_the_version_is_the_programs() -> None:
    first = (DEBIAN / "changelog").read_text(encoding="utf-8").splitlines()[0]
    assert re.findall(r"\((.+)\)", first) == [__version__]


@pytest.mark.parametrize("language", ["de", "fr"])
def test_every_question_is_translated(language: str) -> None:
    wanted = (DEBIAN / "po/templates.pot").read_text(encoding="utf-8")
    text = (DEBIAN / f"po/{language}.po").read_text(encoding="utf-8")
    assert "fuzzy" not in text
    assert re.findall(r'msgstr ""\n(?!")', text) == []
    assert text.count("msgid ") == wanted.count("msgid ")


def test_the_pot_has_every_question() -> None:
    pot = "".join(re.findall(r'^"(.*)"$', (DEBIAN / "po/templates.pot").read_text(encoding="utf-8"), re.M))
    messages = (DEBIAN / "po/templates.pot").read_text(encoding="utf-8") + pot
    for name in ("service.templates.in", "hailo-common.templates"):
        for title in re.findall(r"^_Description: (.*)$", (DEBIAN / name).read_text(encoding="utf-8"), re.M):
            assert title in messages


def test_the_wheels_are_pinned() -> None:
    lines = (TREE / "packaging/python3-tokenizers/SHA256SUMS").read_text(encoding="ascii").splitlines()
    assert len(lines) == 2
    for line in lines:
        assert re.fullmatch(r"[0-9a-f]{64}  tokenizers-0\.22\.1-cp39-abi3-manylinux_2_17_\S+\.whl", line)
