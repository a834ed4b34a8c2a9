"""Which file the vision encoder is loaded from: the folder's own, or a copy of it with 8-bit matrices.

The copy is made once, from a float32 original that stays as it is, by a process of its own, and proven
against the original on this machine: what a kernel is worth, and whether it is right, depends on processor
and library. It lies in the service's own folder of state, under a name that says what it was made from.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import platform
import re
import select
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from hailo_common.errors import ModelError
from hailo_common.files import size_text
from hailo_common.inference.model_dir import ModelDir
from hailo_common.ipc.child_process import describe_exit, start_child
from hailo_common.ipc.messages import Message, receive_message, send_message
from hailo_common.systemd.memory import available_bytes
from hailo_florence.onnx.int8_verdict import MAX_ERROR, Verdict, is_whole, read_verdict, verdict_path

log = logging.getLogger(__name__)

WANTED = ("auto", "fp32", "int8")
MAKER = "hailo_florence.onnx.int8_maker"
DEADLINE_S = 90.0
"""For making and proving a copy: a Raspberry Pi 5 needs a third of it, and the load goes on after it."""
_WORTH_IT = 16_000_000  # bytes of a file below which `auto` leaves it alone: it is fast as it is
_MEMORY_FACTOR = 3
"""Times the original's size that maker and proof take of memory, at most."""
_TRIES = 2
_FORMAT = 1
_NAME = "vision_encoder"
_LOG_EVERY = 0.1


@dataclass(frozen=True)
class VisionFile:
    """The file to load, and what `/health` says about that, which may be nothing."""

    path: Path
    note: str = ""


class NoCopyError(Exception):
    """There is no copy to use; the message says why, for an operator."""


class TookTooLongError(NoCopyError):
    """The maker outlasted its deadline."""


def choose_file(folder: ModelDir, wanted: str, threads: int, place: Path | None = None) -> VisionFile:
    """The file of the vision encoder, made now if it must be; `threads` are for the proof.

    `place` is where copies lie, else the service's own folder. Raises ModelMissing, or ModelError where int8
    was asked for and cannot be had.
    """
    source = folder.onnx(_NAME)
    if wanted == "fp32" or source.stem != _NAME or (wanted == "auto" and not _is_large(source)):
        return _own(source, wanted)
    try:
        copy, verdict = _copy_of(folder, source, threads, place or own_folder(os.environ))
    except NoCopyError as error:
        if wanted == "int8":
            raise ModelError(f"quantisation int8 was asked for: {error}") from error
        log.warning("the vision encoder stays in float32: %s", error)
        return VisionFile(source, f"float32: {error}")
    if wanted == "auto" and not verdict.faster:
        return VisionFile(source, "float32, which 8 bits are not faster than on this processor")
    return VisionFile(copy, f"8-bit matrices, relative error {verdict.error:.2f} against float32")


def drop(copy: Path) -> None:
    """Remove a copy that cannot be loaded, so that the next load makes it anew."""
    with contextlib.suppress(OSError):
        verdict_path(copy).unlink(missing_ok=True)
        copy.unlink(missing_ok=True)


def _own(source: Path, wanted: str) -> VisionFile:
    if wanted == "int8" and source.stem.removeprefix(f"{_NAME}_") not in ("int8", "quantized"):
        raise ModelError(f"{source}: quantisation int8 needs {_NAME}.onnx in float32, or {_NAME}_int8.onnx")
    return VisionFile(source)


def _is_large(source: Path) -> bool:
    return source.stat().st_size >= _WORTH_IT


def own_folder(environ: Mapping[str, str]) -> Path:
    """Where copies lie: below what systemd gives the service, else in the user's cache.

    Raises NoCopyError.
    """
    state = environ.get("STATE_DIRECTORY", "").partition(":")[0]
    if state.startswith("/"):
        return Path(state) / "int8"
    cache = environ.get("XDG_CACHE_HOME", "")
    home = environ.get("HOME", "")
    if not cache.startswith("/") and not home.startswith("/"):
        raise NoCopyError("there is no folder for the copy: neither STATE_DIRECTORY nor HOME is set")
    return (Path(cache) if cache.startswith("/") else Path(home) / ".cache") / "hailo-florence" / "int8"


def weight_bits(machine: str, cpu_flags: str) -> int:
    """Bits of a weight: 7 where x86-64 adds pairs of products in 16 bits, which 8 bits overflow; else 8."""
    if machine not in ("x86_64", "AMD64"):
        return 8
    return 8 if re.search(r"\bavx512_vnni\b|\bavx_vnni\b", cpu_flags) else 7


def _copy_of(folder: ModelDir, source: Path, threads: int, place: Path) -> tuple[Path, Verdict]:
    """The copy and its verdict; raises NoCopyError."""
    bits = weight_bits(platform.machine(), _cpu_flags())
    copy = place / f"{_NAME}-{_key(source, bits)}.onnx"
    verdict = read_verdict(copy)
    if verdict is not None and not is_whole(copy, verdict):
        log.warning("%s: the copy is damaged; it is made anew", copy)
        drop(copy)
        verdict = None
    if verdict is None:
        _check_can_make(source, place)
        order = {
            "folder": str(folder.path),
            "source": str(source),
            "copy": str(copy),
            "bits": bits,
            "threads": threads,
        }
        with _counted(copy.with_suffix(".tries")):
            verdict = _make(order)
    if not verdict.trusted:
        raise NoCopyError(
            f"8-bit matrices are wrong here: relative error {verdict.error:.2f}, more than {MAX_ERROR:g}"
        )
    return copy, verdict


def _key(source: Path, bits: int) -> str:
    """What a copy and its proof depend on: the original, the way it is made, the library that runs it."""
    real, status = source.resolve(), source.stat()
    facts = [str(real), status.st_size, status.st_mtime_ns, status.st_ino, bits, _FORMAT, _version()]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]


def _version() -> str:
    with contextlib.suppress(PackageNotFoundError):
        return version("onnxruntime")
    return ""


def _cpu_flags() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    return next((line for line in text.splitlines() if line.startswith("flags")), "")


def _check_can_make(source: Path, place: Path) -> None:
    if find_spec("onnx") is None:
        raise NoCopyError("the library onnx, which makes the copy, is not installed (package python3-onnx)")
    needed, available = _MEMORY_FACTOR * source.stat().st_size, available_bytes()
    if available is not None and available < needed:
        raise NoCopyError(
            f"making the copy takes up to {size_text(needed)} of memory, and {size_text(available)} are free"
        )
    try:
        place.mkdir(mode=0o755, parents=True, exist_ok=True)
    except OSError as error:
        raise NoCopyError(f"{place}: cannot be made: {error.strerror}") from error


@contextlib.contextmanager
def _counted(tries: Path) -> Iterator[None]:
    """Gives up after tries that did not come to an end: the load's deadline may be shorter than ours."""
    try:
        count = len(tries.read_bytes()) if tries.exists() else 0
        if count >= _TRIES:
            raise NoCopyError(f"{_TRIES} tries to make the copy came to no end; remove {tries} for another")
        tries.write_bytes(b"." * (count + 1))
    except OSError as error:
        raise NoCopyError(f"{tries}: cannot be written: {error.strerror}") from error
    try:
        yield
    except NoCopyError as error:
        if not isinstance(error, TookTooLongError):
            tries.unlink(missing_ok=True)
        raise
    tries.unlink(missing_ok=True)


def _make(order: Mapping[str, Any]) -> Verdict:
    """Have the copy made; raises NoCopyError. The maker dies with this process, and after its deadline."""
    log.info("making a copy of %s with 8-bit matrices", order["source"])
    try:
        popen, sock = start_child(MAKER)
    except OSError as error:
        raise NoCopyError(f"its maker could not be started: {error.strerror}") from error
    try:
        with sock:
            send_message(sock, dict(order))
            answer = _answer(popen, sock)
    except OSError as error:
        raise NoCopyError(f"its maker could not be reached: {error.strerror}") from error
    finally:
        popen.kill()
        popen.wait()
    if "failed" in answer:
        raise NoCopyError(str(answer["failed"]))
    verdict = Verdict(**answer["verdict"])
    log.info(
        "made: relative error %.3f, %.0f %% of the CPU time",
        verdict.error,
        100 * verdict.seconds / max(verdict.original_seconds, 1e-9),
    )
    return verdict


def _answer(popen: subprocess.Popen[bytes], sock: socket.socket) -> Message:
    """The maker's last message; what it says before is progress. Raises NoCopyError."""
    told = 0.0
    for message in _messages(popen, sock):
        if "share" not in message:
            return message
        if message["share"] >= told + _LOG_EVERY:
            told = message["share"]
            log.info("the copy with 8-bit matrices: %d %%", round(100 * told))
    raise NoCopyError(f"its maker ended: {describe_exit(popen.wait())}")


def _messages(popen: subprocess.Popen[bytes], sock: socket.socket) -> Iterator[Message]:
    deadline = time.monotonic() + DEADLINE_S
    poll = select.poll()
    poll.register(sock, select.POLLIN)
    while True:
        left = deadline - time.monotonic()
        if left <= 0 or not poll.poll(left * 1000):
            popen.kill()
            raise TookTooLongError(f"making the copy took longer than {DEADLINE_S:g} s")
        received = receive_message(sock)
        if received is None:
            return
        yield received[0]
