"""One real decoder process for all tests of a file."""

from __future__ import annotations

import asyncio
import os
import resource
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hailo_common.images.decoder import DecodedImage, ImageDecoder
from hailo_common.images.resize import ResizeSpec
from tests.limits import image_limits

SMALL = ResizeSpec(8, 8)
PATIENT_S = 60.0
"""A deadline that a busy test machine does not reach."""
Decode = Callable[..., DecodedImage]


@pytest.fixture(scope="module")
def runner() -> Iterator[asyncio.Runner]:
    """The event loop, which runs only while a test waits for something."""
    with asyncio.Runner() as runner:
        yield runner


@pytest.fixture(scope="module")
def decoder(runner: asyncio.Runner) -> Iterator[ImageDecoder]:
    """A started decoder with its default limits. Its time is checked as CPU time: see `cpu_seconds`."""

    async def make() -> ImageDecoder:
        decoder = ImageDecoder(image_limits(), deadline_s=PATIENT_S)
        await decoder.start()
        return decoder

    decoder = runner.run(make())
    yield decoder
    runner.run(decoder.close())


@pytest.fixture
def decode(runner: asyncio.Runner, decoder: ImageDecoder) -> Decode:
    """Decode through the child process and close the image."""

    def decode(data: bytes, target: ResizeSpec = SMALL) -> DecodedImage:
        with runner.run(decoder.decode(data, target)) as image:
            assert os.fstat(image.fd).st_size == image.bytes
            return image

    return decode


def resident_kb(pid: int | str = "self", field: str = "VmRSS") -> int:
    """A figure of /proc/PID/status."""
    with Path(f"/proc/{pid}/status").open() as status:
        return next(int(line.split()[1]) for line in status if line.startswith(field))


def open_files() -> int:
    """How many descriptors this process has."""
    return len(list(Path("/proc/self/fd").iterdir()))


def cpu_seconds(pid: int) -> float:
    """What a process has used so far, which other work on the machine hardly changes."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def children_cpu_seconds() -> float:
    """What all children used that were reaped so far."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test fails because the machine is slow to start a process."""
    monkeypatch.setattr("hailo_common.images.supervisor.READY_WITHIN_S", PATIENT_S)
