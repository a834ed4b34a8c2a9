"""HailoRT's Python library outside Debian's paths: found, used first, its version told, and not imported."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from hailo_common.config.paths import Paths
from hailo_common.models.machine import find_machine, find_npu
from hailo_common.npu.library import has_library, library_version, unfit_python
from tests.npu import VERSIONS, Machine


@pytest.fixture
def wheel(tmp_path: Path) -> str:
    """A folder as pip fills it with Hailo's wheel."""
    folder = tmp_path / "site-packages"
    (folder / "hailo_platform").mkdir(parents=True)
    (folder / "hailo_platform/__init__.py").write_text("__version__ = '5.4.0'\n")
    (folder / "hailort-5.4.0.dist-info").mkdir()
    (folder / "hailort-5.4.0.dist-info/METADATA").write_text(
        "Metadata-Version: 2.1\nName: hailort\nVersion: 5.4.0\n"
    )
    return str(folder)


def test_a_wheel_is_found_in_its_folder_only(wheel: str, tmp_path: Path) -> None:
    assert has_library(wheel)
    assert not has_library()
    assert not has_library(str(tmp_path / "nothing"))
    assert (library_version(wheel), library_version()) == ("5.4.0", "")
    assert "hailo_platform" not in sys.modules


def test_a_chip_counts_where_its_library_is_in_a_folder(
    wheel: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the service is to fetch depends on it, too."""
    with Machine(tmp_path / "machine", version="5.4.0") as machine:
        assert find_npu(machine.sysroot).architecture == ""
        assert find_npu(machine.sysroot, ["", wheel]).architecture == "hailo10h"
        monkeypatch.setenv("HAILO_APPLIANCE_SYSROOT", str(machine.sysroot))
        root = tmp_path / "root"
        (root / "etc/hailo").mkdir(parents=True)
        (root / "etc/hailo/hailo-florence.yaml").write_text(f"hailort_python_path: {wheel}\n")
        assert find_machine(Paths(root=root, environ={})).npu.driver == "5.4.0"


@pytest.mark.parametrize(
    ("release", "python", "fits"),
    [("5.4.0", (3, 13), True), ("5.4.0", (3, 14), False), ("5.1.1", (3, 14), True), ("", (3, 14), True)],
)
def test_a_python_that_is_too_new_for_the_wheel_is_told(
    release: str, python: tuple[int, int], fits: bool
) -> None:
    assert (unfit_python(release, python) == "") is fits
    if not fits:
        assert unfit_python(release, python) == "HailoRT 5.4.0 is for Python up to 3.13, not 3.14"


@pytest.mark.parametrize("version", VERSIONS)
def test_an_engine_takes_the_library_of_its_key(tmp_path: Path, version: str) -> None:
    """The simulator stands for the wheel: nothing but the key says where it is."""
    with Machine(tmp_path, version=version) as machine:
        environ = dict(machine.environ)
        site = environ.pop("PYTHONPATH").split(":")[0]
        program = (
            "import sys; from hailo_common.npu.library import use_library; use_library(sys.argv[1]);"
            "from hailo_common.npu.hailort import NpuSettings, open_npu;"
            "print(open_npu(NpuSettings('SHARED', 5)).identity())"
        )
        done = subprocess.run(
            [sys.executable, "-c", program, site],
            env={"PATH": "/usr/bin:/bin", **environ},
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.stdout == "HAILO10H\n", done.stderr
