"""Certificates count: a publisher that cannot prove itself gives nothing."""

from __future__ import annotations

import shutil
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from hailo_common.models.http import TransferError, Web
from tests.hailo_common.models.depot import Depot, redirect, running


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A certificate for localhost, and its key in the same file."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    path, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    request = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-days",
        "2",
        "-subj",
        "/CN=localhost",
    ]
    names = ["-addext", "subjectAltName=DNS:localhost"]
    subprocess.run([*request, *names, "-keyout", key, "-out", path], check=True, capture_output=True)
    path.write_bytes(path.read_bytes() + key.read_bytes())
    return path


@pytest.fixture
def secure(certificate: Path) -> Iterator[Depot]:
    """A depot behind TLS."""
    with running() as depot:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        depot.socket = context.wrap_socket(depot.socket, server_side=True)
        depot.files["file"] = b"content"
        yield depot


def test_only_a_trusted_certificate_is_enough(
    secure: Depot, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"https://localhost:{secure.server_address[1]}/file"
    with pytest.raises(TransferError, match="its certificate cannot be trusted"):
        Web("none", 5).open(url)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    body = Web("none", 5).open(url)
    assert body.read() == b"content"
    body.close()


def test_nothing_leads_from_https_to_http(
    secure: Depot, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    secure.behaviours["away"] = redirect("http://localhost/file")
    with pytest.raises(TransferError, match="from https to http"):
        Web("none", 5).open(f"https://localhost:{secure.server_address[1]}/away")
