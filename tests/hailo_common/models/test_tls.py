"""Certificates count: a publisher that cannot prove itself gives nothing."""

from __future__ import annotations

import shutil
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest

from hailo_common.models.http import TransferError, Web
from tests.certificates import certificate
from tests.hailo_common.models.depot import Depot, redirect, running


@pytest.fixture
def trusted(tmp_path: Path) -> Path:
    """A certificate for localhost, and its key in the same file."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    certificate(tmp_path / "cert.pem", ["localhost"])
    return tmp_path / "cert.pem"


@pytest.fixture
def secure(trusted: Path) -> Iterator[Depot]:
    """A depot behind TLS."""
    with running() as depot:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(trusted)
        depot.socket = context.wrap_socket(depot.socket, server_side=True)
        depot.files["file"] = b"content"
        yield depot


def test_only_a_trusted_certificate_is_enough(
    secure: Depot, trusted: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"https://localhost:{secure.server_address[1]}/file"
    with pytest.raises(TransferError, match="its certificate cannot be trusted"):
        Web("none", 5).open(url)
    monkeypatch.setenv("SSL_CERT_FILE", str(trusted))
    body = Web("none", 5).open(url)
    assert body.read() == b"content"
    body.close()


def test_nothing_leads_from_https_to_http(
    secure: Depot, trusted: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(trusted))
    secure.behaviours["away"] = redirect("http://localhost/file")
    with pytest.raises(TransferError, match="from https to http"):
        Web("none", 5).open(f"https://localhost:{secure.server_address[1]}/away")
