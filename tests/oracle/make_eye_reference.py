"""Make `tests/data/eye/reference.npy` anew: what TensorFlow.js makes of a photograph with the source.

`python -m tests.oracle.make_eye_reference` needs npm and the network; the test that reads the file does not.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

import numpy as np

from tests.training.eye_pictures import DATA, EVERY, PICTURE, normalised
from training.eye.package import detector_files

_VERSION = "4.22.0"
_PACKAGES = ("tfjs-core", "tfjs-converter", "tfjs-backend-cpu")
_SCRIPT = Path(__file__).parent / "detector_tfjs.mjs"


def main() -> None:
    """Run the source, and keep every so many of the numbers that come out."""
    source = detector_files().resolve()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        packages = [f"@tensorflow/{package}@{_VERSION}" for package in _PACKAGES]
        subprocess.run(["npm", "install", "--silent", "--prefix", name, *packages], check=True, timeout=600)
        shutil.copy(_SCRIPT, folder)
        normalised(PICTURE).astype("<f4").tofile(folder / "picture")
        command = ["node", _SCRIPT.name, str(source), "picture", "output"]
        subprocess.run(command, cwd=folder, check=True, timeout=600)
        made = np.fromfile(folder / "output", "<f4")
    np.save(DATA / "reference.npy", made[::EVERY])


if __name__ == "__main__":
    main()
