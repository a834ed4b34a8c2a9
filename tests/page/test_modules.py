"""The page's modules as TypeScript reads them: types stand in comments."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TOOLS = ROOT / ".cache/page-tools/node_modules"


def test_the_types_fit() -> None:
    compiler = TOOLS / ".bin/tsc"
    if shutil.which("node") is None or not compiler.exists():
        pytest.skip("TypeScript is not here (make page-tools, which needs npm)")
    command: list[str | Path] = [
        compiler,
        "--project",
        Path(__file__).parent / "tsconfig.json",
        "--pretty",
        "false",
    ]
    checked = subprocess.run(command, capture_output=True, text=True, check=False)
    assert checked.stdout == ""
    assert checked.returncode == 0
