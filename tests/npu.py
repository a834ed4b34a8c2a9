"""The simulated NPU for tests: the environment of a process that shall find one, faults, what happened.

    with Machine(tmp_path, version="5.1.1") as machine:
        with started(FLORENCE, **machine.environ) as service:
            machine.inject(Fault("VLM.generate", "status", status=62))

A violation of the strict simulator fails the test when the machine is left.
"""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

from hailo_common.npu import versions
from tests.hailo_sim import SITE

VERSIONS = tuple(version.name for version in versions.VERSIONS)
ADDRESS = "0001:01:00.0"
Kind = Literal[
    "status", "hang", "hang-free", "delay", "delay-free", "die", "lost", "stall", "unheard", "wedge"
]


@dataclass(frozen=True)
class Fault:
    """What happens at a call (see `hailo_chip.faults` for the kinds, `CALLS` for the names).

    `at` counts the calls of this name from the injection on, the first is 1; `times` is how many from there
    on (0: all).
    """

    call: str
    what: Kind
    status: int = 0
    seconds: float = 0.0
    at: int = 1
    times: int = 1


OPENING = ("import", "VDevice", "Device.scan", "Device", "Control.identify", "Control.get_chip_temperature")
INFER = (
    *("VDevice.create_infer_model", "InferModel.configure", "ConfiguredInferModel.wait_for_async_ready"),
    *("ConfiguredInferModel.run_async", "AsyncInferJob.wait", "inference"),
)
CHAT = (
    *("VLM", "VLM.generate", "encode", "prefill", "token", "LLMGeneratorCompletion.read"),
    *("LLMGeneratorCompletion.release", "VLM.tokenize", "VLM.get_context_usage_size"),
    *("VLM.max_context_capacity", "VLM.clear_context", "VLM.get_stop_tokens", "VLM.set_stop_tokens"),
    *("VLM.get_generation_recovery_sequence", "VLM.set_generation_recovery_sequence", "VLM.release"),
)
CALLS = (*OPENING, *INFER, *CHAT, "ConfiguredInferModel.shutdown", "VDevice.release")
"""Where a fault can be injected. `inference`, `encode`, `prefill` and `token` happen on the chip.

At a `release`, a destructor, a status goes to the log; that of an answer under way aborts the process.
"""


class Machine:
    """A simulated machine with a Hailo chip; a context manager that looks for violations at its end."""

    def __init__(
        self,
        folder: Path,
        *,
        version: str = VERSIONS[-1],
        devices: Sequence[str] = (ADDRESS,),
        accelerator: int = 1,
        driver: str | None = None,
        faults: Sequence[Fault] = (),
        speed: Mapping[str, Any] | None = None,
        log_calls: bool = False,
    ) -> None:
        """`accelerator` 0 makes the devices Hailo-8; `driver` is its version, the library's by default.

        `speed`: see `hailo_chip.settings.Speed`. `log_calls` before the processes start, for `calls`.
        """
        self.state = folder / "chip"
        self.sysroot = folder / "sysroot"
        self.version = version
        self.nodes: list[Path] = []
        """Of the devices, in order."""
        self.state.mkdir(parents=True)
        self._make_sysroot(devices, accelerator, driver or version)
        if log_calls:
            (self.state / "calls").touch()
        if faults:
            self.inject(*faults)
        self.environ = {
            "PYTHONPATH": os.pathsep.join(filter(None, (str(SITE), os.environ.get("PYTHONPATH", "")))),
            "HAILO_SIM_VERSION": version,
            "HAILO_SIM_STATE": str(self.state),
            "HAILO_SIM_SPEED": json.dumps(dict(speed or {})),
            "HAILO_APPLIANCE_SYSROOT": str(self.sysroot),
            "HAILORT_LOGGER_PATH": str(self.state),
            "HOME": str(folder),  # the library writes a log below it
        }

    def _make_sysroot(self, devices: Sequence[str], accelerator: int, driver: str) -> None:
        (self.sysroot / "dev").mkdir(parents=True)
        module = self.sysroot / "sys" / "module" / ("hailo1x_pci" if accelerator else "hailo_pci")
        module.mkdir(parents=True)
        (module / "version").write_text(f"{driver}\n", encoding="ascii")
        for number, address in enumerate(devices):
            self._make_device(number, address, accelerator)

    def _make_device(self, number: int, address: str, accelerator: int) -> None:
        """A Hailo-8's own driver has the names of old, whatever the release of the other one."""
        new = accelerator == 1 and versions.hailort_version(self.version).driver.device_class == "hailo1x"
        name = f"h1x-{number}" if new else f"hailo{number}"
        node = self.sysroot / "dev" / name
        node.touch(0o666)
        entry = self.sysroot / "sys" / "class" / ("hailo1x" if new else "hailo_chardev") / name
        entry.mkdir(parents=True)
        chip = self.sysroot / "sys" / "bus" / "pci" / "devices" / address
        chip.mkdir(parents=True)
        (chip / "vendor").write_text("0x1e60\n", encoding="ascii")
        (chip / "device").write_text("0x45c4\n" if accelerator else "0x2864\n", encoding="ascii")
        # The drivers end none of these with a newline.
        if new:
            (entry / "device_id").write_text(address, encoding="ascii")
        else:
            (entry / "board_location").write_text(address, encoding="ascii")
            (entry / "accelerator_type").write_text(str(accelerator), encoding="ascii")
        self.nodes.append(node)

    def add_hailo8(self, address: str) -> None:
        """A second board, which HailoRT 5 does not drive."""
        self._make_device(len(self.nodes) + 7, address, 0)

    def inject(self, *faults: Fault) -> None:
        """Replace the plan of faults; counting begins anew. Works while services run."""
        plan = {"id": uuid.uuid4().hex, "faults": [asdict(fault) for fault in faults]}
        new = self.state / "faults.new"
        new.write_text(json.dumps(plan), encoding="utf-8")
        new.replace(self.state / "faults.json")

    def heal(self) -> None:
        """No faults any more."""
        self.inject()

    def lose(self) -> None:
        """The chip goes away, and is there again at once: all that was open on it is dead."""
        with (self.state / "epoch").open("ab") as file:
            file.write(b".")

    def remove_power(self) -> None:
        """What a reboot does not do: a chip that hangs is well again."""
        (self.state / "wedged").unlink(missing_ok=True)

    def calls(self, pid: int = 0) -> list[str]:
        """Every call so far, of one process or of all; needs `log_calls`."""
        lines = (self.state / "calls").read_text(encoding="utf-8").splitlines()
        rows = [line.partition(" ") for line in lines]
        return [call for number, _, call in rows if pid in (0, int(number))]

    def violations(self) -> str:
        """What the strict simulator objected to; "" for nothing."""
        path = self.state / "violations"
        return path.read_text(encoding="utf-8") if path.exists() else ""

    def __enter__(self) -> Machine:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        found = self.violations()
        if found and error is None:
            raise AssertionError(found)
        if found and error is not None:
            error.add_note(found)


def npu_environment(folder: Path, **options: Any) -> dict[str, str]:
    """The environment alone, for a process that needs no faults later; `options` are those of `Machine`."""
    return Machine(folder, **options).environ
