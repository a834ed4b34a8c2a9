"""HEVC frames through libde265, without files and threads. The only module that loads it.

A decoder loads it before it gives up its right to open files. Source: libde265's own header, `de265.h` of
version 1.0, whose names and meanings later versions keep.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache

PACKAGE = "libde265-0"
_LIBRARY = "libde265.so.0"
_SUPPRESS_FAULTY = 6
_OK = 0
_MAX_STEPS = 10_000
_LUMA, _PLANES, _MONOCHROME = 0, 3, 0
_POINTER, _INT, _SIZE = ctypes.c_void_p, ctypes.c_int, ctypes.c_int64


@dataclass(frozen=True)
class Plane:
    """Samples of one channel: `height` rows of `width`, each of one byte, or of two from 9 bits on."""

    samples: bytes
    width: int
    height: int
    bits: int


@dataclass(frozen=True)
class Frame:
    """Y, or Y, Cb and Cr, and what the codec says of their colours (H.265 E.3.1; 2 is "unspecified")."""

    planes: tuple[Plane, ...]
    full_range: bool
    matrix: int


_STANDARD_ERROR = 2


def available() -> bool:
    """Load the library, which must be done while files can be opened; False where it is not there."""
    return _library() is not None


@cache
def _library() -> ctypes.CDLL | None:
    try:
        library = ctypes.CDLL(_LIBRARY)
    except OSError:
        return None
    library.de265_new_decoder.restype = _POINTER
    library.de265_get_next_picture.restype = _POINTER
    library.de265_get_image_plane.restype = _POINTER
    library.de265_push_NAL.argtypes = [_POINTER, ctypes.c_char_p, _INT, _SIZE, _POINTER]
    library.de265_set_parameter_bool.argtypes = [_POINTER, _INT, _INT]
    library.de265_decode.argtypes = [_POINTER, ctypes.POINTER(_INT)]
    library.de265_get_image_plane.argtypes = [_POINTER, _INT, ctypes.POINTER(_INT)]
    for name in ("free_decoder", "flush_data", "get_next_picture", "reset"):
        getattr(library, f"de265_{name}").argtypes = [_POINTER]
    for name in ("chroma_format", "image_full_range_flag", "image_matrix_coefficients"):
        getattr(library, f"de265_get_{name}").argtypes = [_POINTER]
    for name in ("image_width", "image_height", "bits_per_pixel"):
        getattr(library, f"de265_get_{name}").argtypes = [_POINTER, _INT]
    _nowhere()
    # Its tables are kept, which else are made anew for each decoder.
    return library if library.de265_init() == _OK else None


@cache
def _nowhere() -> int:
    """A descriptor of /dev/null, opened while that is allowed."""
    return os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)


@contextmanager
def _silence() -> Iterator[None]:
    """The library complains of damaged data on standard error, where a stranger could fill the journal."""
    kept = os.dup(_STANDARD_ERROR)
    os.dup2(_nowhere(), _STANDARD_ERROR)
    try:
        yield
    finally:
        os.dup2(kept, _STANDARD_ERROR)
        os.close(kept)


class Decoder:
    """Decodes key frames one after the other."""

    def __init__(self, library: ctypes.CDLL, context: int) -> None:
        self._library, self._context = library, context

    def frame(self, units: Iterable[bytes]) -> Frame:
        """The picture of these NAL units, parameter sets first; raises ValueError for a damaged one."""
        self._library.de265_reset(self._context)
        for unit in units:
            if self._library.de265_push_NAL(self._context, unit, len(unit), 0, None) != _OK:
                raise ValueError("the codec takes no more data")
        self._library.de265_flush_data(self._context)
        return self._read(self._decoded())

    def _decoded(self) -> int:
        more = _INT(1)
        for _ in range(_MAX_STEPS):
            if self._library.de265_decode(self._context, ctypes.byref(more)) != _OK:
                raise ValueError("the codec finds a fault")
            if image := self._library.de265_get_next_picture(self._context):
                return int(image)
            if not more.value:
                break
        raise ValueError("the codec finds no whole picture")

    def _read(self, image: int) -> Frame:
        library = self._library
        count = 1 if library.de265_get_chroma_format(image) == _MONOCHROME else _PLANES
        return Frame(
            tuple(self._plane(image, channel) for channel in range(count)),
            bool(library.de265_get_image_full_range_flag(image)),
            int(library.de265_get_image_matrix_coefficients(image)),
        )

    def _plane(self, image: int, channel: int) -> Plane:
        library, stride = self._library, _INT()
        width = int(library.de265_get_image_width(image, channel))
        height = int(library.de265_get_image_height(image, channel))
        bits = int(library.de265_get_bits_per_pixel(image, channel))
        start = library.de265_get_image_plane(image, channel, ctypes.byref(stride))
        row = width * (2 if bits > 8 else 1)
        if not start or not height or row > stride.value:
            raise ValueError("the codec gives no samples")
        whole = memoryview(ctypes.string_at(start, stride.value * (height - 1) + row))
        if stride.value == row:
            return Plane(bytes(whole), width, height, bits)
        rows = (whole[at * stride.value : at * stride.value + row] for at in range(height))
        return Plane(b"".join(rows), width, height, bits)


@contextmanager
def decoder() -> Iterator[Decoder]:
    """A decoder without threads and words; raises ValueError where there is no library or no memory."""
    with _silence():
        yield from _decoder()


def _decoder() -> Iterator[Decoder]:
    library = _library()
    context = library.de265_new_decoder() if library else None
    if library is None or not context:
        raise ValueError("no codec")
    try:
        library.de265_set_parameter_bool(context, _SUPPRESS_FAULTY, 1)
        yield Decoder(library, context)
    finally:
        library.de265_free_decoder(context)
