"""dpkg killed at random moments: no corrupt configuration, no partial or stray file, and always mended.

HAILO_MACHINE_KILLS says how often; the kinds of work take turns. A kill takes the whole tree of processes.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.machine.repository import NEXT
from tests.machine.roots import ENVIRONMENT, REPOSITORY, Root, mounted, overlay, use_repository
from tests.machine.test_debconf import CONFIG, EDITED, FRESH

KILLS = int(os.environ.get("HAILO_MACHINE_KILLS", "8"))
SEED = int(os.environ.get("HAILO_MACHINE_SEED", "1"))
KEYS = "/etc/hailo/hailo-florence.keys"
JSON = "/etc/xdg/hailo-florence/hailo-florence.json"
_NOW = f"{REPOSITORY}/now/hailo-common_*.deb {REPOSITORY}/now/hailo-florence_*.deb"
_NEXT = f"{REPOSITORY}/next/hailo-common_*.deb {REPOSITORY}/next/hailo-florence_*.deb"
_KEY = "# The next line belongs to dpkg-reconfigure hailo-florence.\nsesame-open\n"
_PORT = FRESH.replace("#port: 11438\n", "#port: 11438\nport: 12001\n")
_PRESEEDED = _PORT + "api_key_file: /etc/hailo/hailo-florence.keys\n"
_BACKEND = "#backend: auto\nbackend: cpu\n"
_STRAY = "-name '.*.tmp' -o -name '*.new' -o -name '*.dpkg-*' -o -name 'tmp.??????????' -o -name '*.part'"


@dataclass(frozen=True)
class Work:
    """Something that dpkg does."""

    command: str
    texts: tuple[str, ...]
    """What the YAML may be on the way; the last one in the end."""
    before: str = "true"
    edited: str = ""
    """What an administrator has made of the YAML before."""
    repair: str = ""
    """The order that is given once more after a repair; the command itself, if this is empty."""
    fresh: bool = False
    """Nothing of ours is installed before."""
    repository: str = "now"
    """What apt knows."""


_PRESEED = """
echo 'hailo-florence hailo-florence/port string 12001
hailo-florence hailo-florence/api_key password sesame-open' | debconf-set-selections
"""
_CPU = "echo 'hailo-florence hailo-florence/backend select cpu' | debconf-set-selections"
_NEW = ("", FRESH, _PORT, _PRESEEDED)
WORKS = {
    "install": Work(f"dpkg -i {_NOW}", _NEW, _PRESEED, fresh=True),
    "configure": Work(
        "dpkg --configure -a", _NEW, f"{_PRESEED} dpkg --unpack {_NOW}", repair="true", fresh=True
    ),
    "upgrade": Work(
        f"dpkg -i {_NEXT}",
        (EDITED, EDITED.replace("#backend: auto\n", _BACKEND)),
        _CPU,
        EDITED,
        repository="next",
    ),
    "reconfigure": Work(
        "dpkg-reconfigure --frontend noninteractive hailo-florence",
        (FRESH, FRESH.replace("#backend: auto\n", _BACKEND)),
        _CPU,
    ),
    "purge": Work("dpkg --purge hailo-florence hailo-demo-models hailo-common", (FRESH, "")),
}


@pytest.fixture(scope="module")
def chance() -> random.Random:
    """The moments of all kills."""
    print(f"\nHAILO_MACHINE_SEED={SEED}")
    return random.Random(SEED)


@pytest.mark.parametrize("name", WORKS)
def test_kills(
    name: str,
    chance: random.Random,
    prepared: list[Path],
    installed: list[Path],
    apt_repository: Path,
) -> None:
    work = WORKS[name]
    layers = prepared if work.fresh else installed
    count = KILLS // len(WORKS) + (list(WORKS).index(name) < KILLS % len(WORKS))
    with begun(work, layers, apt_repository) as root:
        needed = killed(root, work, 600.0)
        check_mended(root, work)
    interrupted = 0
    for _ in range(count):
        with begun(work, layers, apt_repository) as root:
            moment = chance.uniform(0.0, needed)
            interrupted += killed(root, work, moment) >= moment
            check_killed(root, work)
            mend(root, work)
            check_mended(root, work)
    print(f"\n{name}: {needed:.1f} s, {interrupted} of {count} kills met it at work")


@contextmanager
def begun(work: Work, layers: list[Path], repository: Path) -> Iterator[Root]:
    """A root in which the work may begin."""
    with overlay(*layers) as view, mounted(view, repository) as root:
        use_repository(view, work.repository)
        root.run(f"apt-get update -qq; {work.before}")
        if work.edited:
            root.file(CONFIG).write_text(work.edited, encoding="utf-8")
        yield root


def killed(root: Root, work: Work, moment: float) -> float:
    """Begin the work and kill it after `moment` seconds; returns how long it was at it."""
    started = time.monotonic()
    process = subprocess.Popen(
        # All that it starts is in a namespace whose init ends with it.
        ["unshare", "--pid", "--fork", *root.entry(), "/bin/sh", "-c", work.command],
        env=ENVIRONMENT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        process.wait(moment)
    except subprocess.TimeoutExpired:
        # With the namespace's init all die; unshare waits for the last.
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text(encoding="ascii")
        for child in children.split():
            with suppress(ProcessLookupError):
                os.kill(int(child), signal.SIGKILL)
        process.wait(60)
    return time.monotonic() - started


def check_killed(root: Root, work: Work) -> None:
    """What has a real name is whole, right after the kill."""
    assert text_of(root, CONFIG) in ("", *work.texts)
    assert text_of(root, KEYS) in ("", _KEY)
    root.run(f"[ ! -e {JSON} ] || python3 -m json.tool {JSON}")


def text_of(root: Root, path: str) -> str:
    """The file's text; empty where there is none."""
    file = root.file(path)
    return file.read_text(encoding="utf-8") if file.exists() else ""


def mend(root: Root, work: Work) -> None:
    """What an administrator does: configure what is half done, let apt repair, give the order once more."""
    root.run("dpkg --configure -a || true")
    # With a package that was being unpacked apt gives up here; the order itself unpacks it again.
    root.run("apt-get --yes --fix-broken install || true")
    root.run(work.repair or work.command)
    root.run("apt-get check")


def check_mended(root: Root, work: Work) -> None:
    """As if nobody had killed anything."""
    assert root.run("dpkg --audit").stdout == ""
    assert text_of(root, CONFIG) == work.texts[-1]
    places = "/etc /usr/bin /usr/lib/python3 /usr/lib/systemd /usr/share/hailo* /var/lib/hailo* /run /tmp"
    assert root.run(f"find {places} {_STRAY} 2>/dev/null || true").stdout == ""
    if work.texts[-1] == "":
        assert root.run("find /etc /var/lib /usr -name '*hailo*' -not -path '/var/lib/apt/*'").stdout == ""
        return
    for package in ("hailo-common", "hailo-florence"):
        assert root.run(f"dpkg --verify {package}").stdout == ""
        state = root.run(f"dpkg-query -W -f '${{db:Status-Abbrev}} ${{Version}}' {package}").stdout
        assert state.startswith("ii ")
        assert (state.split()[1] == NEXT) == (work.command == f"dpkg -i {_NEXT}")
    assert text_of(root, KEYS) == (_KEY if work.texts[-1] == _PRESEEDED else "")
    assert "sesame-open" not in root.run("cat /var/cache/debconf/*.dat").stdout
    root.run("hailo-render-config hailo-florence && hailo-florence-server --check-config")
