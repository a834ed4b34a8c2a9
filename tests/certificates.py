"""Certificates that nobody trusts but who is told to."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path


def certificate(path: Path, hosts: Sequence[str]) -> None:
    """Write one for these hosts, for two days, and its key behind it in the same file."""
    names = "subjectAltName=" + ",".join(f"DNS:{host}" for host in hosts)
    key = path.with_suffix(".key")
    request = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    command = [*request, "-subj", f"/CN={hosts[0]}", "-addext", names, "-keyout", str(key), "-out", str(path)]
    subprocess.run(command, check=True, capture_output=True)
    path.write_bytes(path.read_bytes() + key.read_bytes())
    key.unlink()
    path.chmod(0o644)
