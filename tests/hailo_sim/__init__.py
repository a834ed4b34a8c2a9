"""A strict simulator of `hailo_platform` for tests: what it offers behaves as HailoRT 5.1.1 to 5.4.0 do.

`on-path/` goes on a process's PYTHONPATH (see `tests.npu`) and holds two packages: `hailo_platform`, with the
names of the real one, and `hailo_chip`, which stands for the driver, the library and the chip behind them.
What the real stack answers with silent corruption or a crash ends the process here and is written down, so
that a test fails.
"""

from pathlib import Path

SITE = Path(__file__).parent / "on-path"
"""What goes on the PYTHONPATH of a process that shall find the simulator."""
