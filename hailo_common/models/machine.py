"""What of this machine decides which model it gets: its chip, memory, cores, disk, and the engines installed.

Service and fetcher look at the same things, which both see from inside their sandboxes. Opens no device.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from hailo_common.config.common_keys import installed_services, service_settings
from hailo_common.config.load import load
from hailo_common.config.paths import Paths
from hailo_common.errors import ConfigError
from hailo_common.models.store import Store
from hailo_common.npu.device_nodes import device_nodes, driver_version, sysfs_devices
from hailo_common.npu.library import has_library

GGUF_PACKAGE = "hailo-llama"
"""The package of llama.cpp's libraries."""
_GGUF_LIBRARIES = f"usr/lib/*/{GGUF_PACKAGE}/libllama.so*"
_GGUF_WHEEL = "xllamacpp"
_REFERENCE_CORES = 4
_MOST_CORES = 16


@dataclass(frozen=True)
class NpuPresence:
    """The NPU as far as it decides which model fits; `architecture` is empty without one."""

    architecture: str = ""
    driver: str = ""


@dataclass(frozen=True)
class Machine:
    """What models can count on."""

    npu: NpuPresence
    memory: int
    """Bytes of memory in all."""
    cores: int
    free: int
    """Bytes free on the disk of the store."""
    formats: frozenset[str] = frozenset({""})
    """Formats of models (`Model.format`) whose engine is installed."""
    begun: frozenset[str] = frozenset()
    """Names of models of which something is in the store."""

    def seconds(self, reference: float) -> float:
        """What takes so long on the reference machine's four cores, about, on this one's."""
        return reference * _REFERENCE_CORES / max(1, min(self.cores, _MOST_CORES))


def find_machine(paths: Paths, library: str | None = None) -> Machine:
    """Look at this machine; `library` is a service's `hailort_python_path`, None for that of any service."""
    folders = _libraries(paths) if library is None else [library]
    return machine_of(
        paths,
        npu=find_npu(folders=folders),
        # Not /proc/meminfo, which is hidden from the fetcher's unit.
        memory=os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"),
        cores=os.sysconf("SC_NPROCESSORS_CONF"),
        wheel=find_spec(_GGUF_WHEEL) is not None,
    )


def machine_of(paths: Paths, *, npu: NpuPresence, memory: int, cores: int, wheel: bool) -> Machine:
    """The machine whose files `paths` has; `wheel` says that its Python has llama.cpp besides the package."""
    store = paths.store()
    gguf = wheel or any(paths.root.glob(_GGUF_LIBRARIES))
    return Machine(
        npu=npu,
        memory=memory,
        cores=cores,
        free=Store(store).free_bytes(),
        formats=frozenset({"", "gguf"} if gguf else {""}),
        begun=frozenset(path.name for path in store.iterdir()) if store.is_dir() else frozenset(),
    )


def _libraries(paths: Paths) -> list[str]:
    """Where the installed services look for HailoRT; one that cannot be read says so elsewhere."""
    found = [""]
    for service in installed_services():
        with contextlib.suppress(ConfigError):
            found.append(load(service_settings(service), service, paths).hailort_python_path)
    return list(dict.fromkeys(found))


def find_npu(root: Path | None = None, folders: Sequence[str] = ("",)) -> NpuPresence:
    """Look at the driver's files. The device node is not needed: it may be hidden from us."""
    devices = sysfs_devices(root)
    if not any(map(has_library, folders)) or not (devices or device_nodes(root)):
        return NpuPresence()
    supported = not devices or any(device.supported for device in devices)
    return NpuPresence("hailo10h" if supported else "hailo8", driver_version(root))
