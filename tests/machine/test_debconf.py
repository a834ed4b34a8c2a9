"""The round trip between debconf and the YAML, without systemd: bytes, mode, answers, exit status."""

from __future__ import annotations

import pytest

from tests.machine.roots import Root, use_repository

CONFIG = "/etc/hailo/hailo-florence.yaml"
FRESH = """\
# Settings of hailo-florence. Values can be changed here, with `hailo-ctl config set` or with
# dpkg-reconfigure hailo-florence; everything else in this file is left alone.
# All keys with their defaults: /usr/share/hailo-florence/hailo-florence.yaml

#host: 127.0.0.1
#port: 11438
#backend: auto
#model: auto
"""
EDITED = """\
# kept
host: "0.0.0.0"   # everybody here
log_level: 'debug'
port:    12000
allowed_hosts: [pi.local, "camera.lan"]

#backend: auto
# the end, without a new line"""


@pytest.fixture
def debian(chroot: Root) -> Root:
    """The version now, not installed yet; services are not started in a chroot."""
    return chroot


@pytest.fixture
def settled(installed_chroot: Root) -> Root:
    """The version now, installed with the defaults."""
    return installed_chroot


def preseed(debian: Root, *answers: str) -> None:
    """Answer before anybody asks."""
    lines = "".join(f"hailo-florence hailo-florence/{answer}\n" for answer in answers)
    debian.file("/root/answers").write_text(lines, encoding="utf-8")
    debian.run("debconf-set-selections /root/answers")


def answer(debian: Root, name: str) -> str:
    """What debconf has."""
    done = debian.run(f"echo 'GET hailo-florence/{name}' | debconf-communicate hailo-florence")
    return done.stdout.strip().removeprefix("0").strip()


def install(debian: Root) -> str:
    """Install or upgrade; exit status 0."""
    return debian.run("apt-get install --yes hailo-florence 2>&1", timeout=900).stdout


def upgrade(debian: Root) -> str:
    """Upgrade to the next version; exit status 0."""
    use_repository(debian.path, "next")
    debian.run("apt-get update -qq")
    return install(debian)


def config(debian: Root) -> tuple[str, int]:
    """Content and mode of the YAML."""
    path = debian.file(CONFIG)
    return path.read_text(encoding="utf-8"), path.stat().st_mode & 0o7777


def edit(debian: Root, text: str, mode: int = 0o640) -> None:
    """What an administrator does with an editor."""
    path = debian.file(CONFIG)
    path.write_text(text, encoding="utf-8")
    path.chmod(mode)


def stray(debian: Root) -> list[str]:
    """Files in /etc/hailo that nobody should find there."""
    names = [path.name for path in debian.file("/etc/hailo").iterdir()]
    return [name for name in names if name.startswith(".") or name.endswith((".new", ".tmp", ".bak"))]


def test_fresh_with_defaults(debian: Root) -> None:
    install(debian)
    assert config(debian) == (FRESH, 0o644)
    assert [answer(debian, name) for name in ("host", "port", "backend", "model", "api_key")] == [
        "127.0.0.1",
        "11438",
        "auto",
        "auto",
        "",
    ]
    assert debian.file("/etc/xdg/hailo-florence/hailo-florence.json").is_file()
    before = config(debian)
    debian.run("dpkg-reconfigure --frontend noninteractive hailo-florence")
    assert config(debian) == before
    assert stray(debian) == []


def test_fresh_and_preseeded_then_purged(debian: Root) -> None:
    preseed(
        debian, "host string ::", "port string 12001", "backend select cpu", "api_key password sesame-open"
    )
    install(debian)
    text, mode = config(debian)
    assert text == FRESH.replace("#host: 127.0.0.1\n", '#host: 127.0.0.1\nhost: "::"\n').replace(
        "#port: 11438\n", "#port: 11438\nport: 12001\n"
    ).replace("#backend: auto\n", "#backend: auto\nbackend: cpu\n") + (
        "api_key_file: /etc/hailo/hailo-florence.keys\n"
    )
    assert mode == 0o644
    keys = debian.file("/etc/hailo/hailo-florence.keys")
    assert keys.read_text(encoding="utf-8").splitlines()[-1] == "sesame-open"
    assert debian.run(f"stat -c '%U:%G %a' /etc/hailo/{keys.name}").stdout == "root:hailo-florence 640\n"
    assert answer(debian, "api_key") == ""
    assert "sesame-open" not in debian.run("cat /var/cache/debconf/*.dat").stdout
    socket = debian.file("/etc/systemd/system/hailo-florence.socket.d/50-hailo.conf")
    assert "ListenStream=[::]:12001\n" in socket.read_text(encoding="utf-8")
    debian.run("apt-get remove --yes hailo-florence && apt-get install --yes hailo-florence")
    assert config(debian) == (text, mode)
    debian.run("apt-get purge --yes hailo-florence")
    assert debian.run("find /etc /var/lib /run -name '*florence*' -not -path '*/dpkg/*'").stdout == ""
    assert debian.run("debconf-show hailo-florence").stdout == ""


@pytest.mark.parametrize(
    "garbage",
    [
        "port string abc",
        "port string 70000",
        "port string 1;rm -rf /",
        "host string a b",
    ],
)
def test_an_answer_that_is_no_good_is_reported_and_the_default_holds(debian: Root, garbage: str) -> None:
    preseed(debian, garbage)
    output = install(debian)
    name, _, value = garbage.split(maxsplit=2)
    assert f"the answer '{value}' to hailo-florence/{name} is not allowed (" in output
    assert config(debian) == (FRESH, 0o644)


def test_a_choice_that_is_none_becomes_the_default(debian: Root) -> None:
    preseed(debian, "backend select gpu")
    install(debian)
    assert config(debian) == (FRESH, 0o644)
    assert answer(debian, "backend") == "auto"


def test_hand_edits_survive_upgrade_and_reconfigure(settled: Root) -> None:
    edit(settled, EDITED)
    preseed(settled, "port string 13000", "host string 192.0.2.1")
    upgrade(settled)
    assert config(settled) == (EDITED, 0o640)
    assert (answer(settled, "host"), answer(settled, "port")) == ("0.0.0.0", "12000")
    settled.run("dpkg-reconfigure --frontend noninteractive hailo-florence")
    assert config(settled) == (EDITED, 0o640)
    assert stray(settled) == []


def test_a_key_that_is_commented_out_takes_the_answer(settled: Root) -> None:
    edit(settled, EDITED)
    preseed(settled, "backend select cpu")
    upgrade(settled)
    text = EDITED.replace("#backend: auto\n", "#backend: auto\nbackend: cpu\n")
    assert config(settled) == (text, 0o640)
    assert answer(settled, "backend") == "cpu"


def test_what_a_line_scan_cannot_read_is_left_alone(settled: Root) -> None:
    text = "host: !!str 127.0.0.1\nport:\n  12000\n"
    edit(settled, text)
    preseed(settled, "port string 13000")
    output = upgrade(settled)
    assert config(settled) == (text, 0o640)
    assert answer(settled, "port") == "13000"
    assert "hailo-florence.yaml:1: host:" in output


def test_a_broken_yaml_is_reported_and_left_alone(settled: Root) -> None:
    rendered = settled.file("/etc/xdg/hailo-florence/hailo-florence.json")
    good = rendered.read_bytes()
    broken = "port: 12000\nhost: [\n"
    edit(settled, broken)
    preseed(settled, "backend select cpu")
    output = upgrade(settled)
    assert config(settled) == (broken, 0o640)
    assert f"{CONFIG}:" in output
    assert f"{CONFIG} is left as it was" in output
    assert rendered.read_bytes() == good
    assert stray(settled) == []


def test_a_deleted_file_stays_deleted(debian: Root) -> None:
    preseed(debian, "port string 12001")
    install(debian)
    debian.file(CONFIG).unlink()
    upgrade(debian)
    assert not debian.file(CONFIG).exists()
    json = debian.file("/etc/xdg/hailo-florence/hailo-florence.json").read_text(encoding="utf-8")
    assert '"port": 11438' in json


def test_a_file_that_was_there_first_is_kept(debian: Root) -> None:
    path = debian.file(CONFIG)
    path.parent.mkdir(parents=True)
    edit(debian, EDITED, 0o600)
    install(debian)
    assert config(debian) == (EDITED, 0o600)
    assert answer(debian, "port") == "12000"


def test_the_fetcher_takes_its_answers_too(debian: Root) -> None:
    lines = (
        "hailo-common hailo-common/when select never\nhailo-common hailo-common/mirror string /srv/models\n"
    )
    debian.file("/root/answers").write_text(lines, encoding="utf-8")
    debian.run("debconf-set-selections /root/answers")
    install(debian)
    text = debian.file("/etc/hailo/hailo-fetch.yaml").read_text(encoding="utf-8")
    assert "\nwhen: never\n" in text
    assert "\nmirror: /srv/models\n" in text


def test_the_questions_speak_german_and_french(settled: Root) -> None:
    templates = settled.file("/var/cache/debconf/templates.dat").read_text(encoding="utf-8").lower()
    for language, words in (("de", "adresse, auf der gelauscht wird"), ("fr", "adresse d'écoute")):
        assert f"description-{language}.utf-8: {words}" in templates
