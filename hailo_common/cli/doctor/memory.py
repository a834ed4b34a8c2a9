"""What the services may take of the machine's memory together, and whether the kernel holds them to it."""

from __future__ import annotations

from collections.abc import Iterator

from hailo_common.cli.doctor.check import CheckResult, System
from hailo_common.cli.doctor.services import unit_state
from hailo_common.files import size_text

_OLLAMA = "hailo-ollama"
_OLLAMA_BYTES = 3_000_000_000
"""What the architecture documents give it."""


def check_budgets(system: System) -> Iterator[CheckResult]:
    """Is each limit enforced, and is their sum less than the machine has?"""
    yield from _controller(system)
    yield from _sum(system)


def _controller(system: System) -> Iterator[CheckResult]:
    controllers = system.read("/sys/fs/cgroup/cgroup.controllers").split()
    if controllers and "memory" not in controllers:
        text = "the kernel runs without its memory controller: memory_max_mb of the services is not enforced"
        remedy = "add cgroup_enable=memory to the line in /boot/firmware/cmdline.txt, then reboot"
        yield CheckResult("memory limits", "warn", text, remedy)


def _sum(system: System) -> Iterator[CheckResult]:
    machine = system.memory().get("MemTotal")
    budgets = dict(_budgets(system))
    if machine is None or len(budgets) < 2:
        return
    listed = ", ".join(f"{name} {size_text(each)}" for name, each in budgets.items())
    text = f"{listed}: together {size_text(sum(budgets.values()))} of {size_text(machine)}"
    if sum(budgets.values()) <= machine:
        yield CheckResult("memory limits", "ok", text)
        return
    name = max(budgets, key=lambda each: (each != _OLLAMA, budgets[each]))
    remedy = (
        f"if they are busy at once, the kernel ends one: hailo-ctl config set {name} memory_max_mb=..., "
        f"or do without one: systemctl disable --now {name}.socket {name}"
    )
    yield CheckResult("memory limits", "warn", text, remedy)


def _budgets(system: System) -> Iterator[tuple[str, int]]:
    """Each service that is enabled, and the bytes it may take; none for one without a limit."""
    for name, settings in system.settings():
        state = unit_state(system, f"{name}.socket") or {}
        limit = settings.memory_max_mb << 20
        if limit and state.get("UnitFileState", "enabled") == "enabled":
            yield name, limit
    if (unit_state(system, f"{_OLLAMA}.service") or {}).get("ActiveState") == "active":
        yield _OLLAMA, _OLLAMA_BYTES
