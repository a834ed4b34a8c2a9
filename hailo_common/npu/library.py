"""Where HailoRT's Python library is, asked without importing it. Safe in the HTTP process.

Raspberry Pi's package puts it where Debian's Python looks. Hailo hands out a wheel, which Debian's pip
installs nowhere by itself: it lies in a virtual environment or a folder that `hailort_python_path` names.
"""

from __future__ import annotations

import sys
from importlib import metadata
from importlib.machinery import PathFinder
from importlib.util import find_spec

from hailo_common.npu.versions import hailort_version

PACKAGE = "hailo_platform"
_DISTRIBUTION = "hailort"


def has_library(folder: str = "") -> bool:
    """Whether the package can be found: in `folder`, else where Python looks by itself."""
    if folder and PathFinder.find_spec(PACKAGE, [folder]) is not None:
        return True
    return find_spec(PACKAGE) is not None


def use_library(folder: str) -> None:
    """Let `folder` come first for imports of this process; "" changes nothing."""
    if folder and folder not in sys.path:
        sys.path.insert(0, folder)


def library_version(folder: str = "") -> str:
    """The version of the installed library; "" where there is none."""
    places = [[folder]] if folder else []
    for path in (*places, sys.path):
        for found in metadata.distributions(name=_DISTRIBUTION, path=path):
            return str(found.version)
    return ""


def unfit_python(release: str, python: tuple[int, int] = sys.version_info[:2]) -> str:
    """Why a release's wheel is not for this Python; "" where it is, or does not say."""
    newest = hailort_version(release).python
    if newest is None or python <= newest:
        return ""
    return "HailoRT {} is for Python up to {}.{}, not {}.{}".format(release, *newest, *python)
