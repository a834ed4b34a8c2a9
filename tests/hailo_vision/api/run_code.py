"""A fake service that is changed first: `python -m tests.hailo_vision.api.run_code CODE ARGUMENTS`."""

from __future__ import annotations

import sys

if __name__ == "__main__":
    exec(sys.argv.pop(1))
