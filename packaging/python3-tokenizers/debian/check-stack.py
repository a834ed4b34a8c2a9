"""Fail for a library that asks for an executable stack, or for another version of glibc than 2.17 offers."""

import re
import struct
import sys
from pathlib import Path

PT_GNU_STACK, EXECUTABLE = 0x6474E551, 1

for name in sys.argv[1:]:
    data = Path(name).read_bytes()
    offset, size, count = struct.unpack_from("<32xQ", data)[0], *struct.unpack_from("<54xHH", data)
    headers = [struct.unpack_from("<II", data, offset + i * size) for i in range(count)]
    if any(kind == PT_GNU_STACK and flags & EXECUTABLE for kind, flags in headers):
        sys.exit(f"{name}: asks for an executable stack")
    versions = {tuple(map(int, found.split(b"."))) for found in re.findall(rb"GLIBC_([0-9.]+)\0", data)}
    if max(versions, default=(0,)) > (2, 17):
        sys.exit(f"{name}: needs glibc {max(versions)}")
