"""Which proxy a URL goes through."""

from __future__ import annotations

from pathlib import Path

import pytest

from hailo_common.models.http import apt_proxies, proxy_for

PROXY = "http://proxy.lan:3128"
ENVIRON = {"http_proxy": "proxy.lan:3128", "HTTPS_PROXY": f"{PROXY}/", "no_proxy": ".lan, example.org"}


@pytest.fixture(autouse=True)
def _no_apt(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    apt_proxies.cache_clear()
    monkeypatch.setenv("PATH", str(tmp_path))


@pytest.mark.parametrize(
    ("url", "setting", "proxy"),
    [
        ("http://hailo.ai/x", "auto", PROXY),
        ("https://hailo.ai/x", "auto", PROXY),
        ("https://mirror.lan/x", "auto", ""),
        ("https://example.org/x", "auto", ""),
        ("https://www.example.org/x", "auto", ""),
        ("https://notexample.org/x", "auto", PROXY),
        ("http://127.0.0.1:8000/x", "auto", ""),
        ("http://localhost/x", PROXY, ""),
        ("https://hailo.ai/x", "none", ""),
        ("https://mirror.lan/x", "http://other:1", "http://other:1"),
    ],
)
def test_proxies(url: str, setting: str, proxy: str) -> None:
    assert proxy_for(url, setting, ENVIRON) == proxy


def test_apt_knows_one_too(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    tool = tmp_path / "apt-config"
    tool.write_text("#!/bin/sh\necho \"HTTP='http://apt.lan:3142'\"\n")
    tool.chmod(0o755)
    assert proxy_for("https://hailo.ai/x", "auto", {}) == "http://apt.lan:3142"
    assert proxy_for("http://hailo.ai/x", "auto", ENVIRON) == PROXY
    apt_proxies.cache_clear()
    tool.write_text("#!/bin/sh\nexit 1\n")
    assert proxy_for("https://hailo.ai/x", "auto", {}) == ""


def test_without_anything_there_is_none() -> None:
    assert proxy_for("https://hailo.ai/x", "auto", {}) == ""
    assert proxy_for("https://hailo.ai/x", "auto", {"https_proxy": "socks5://x:1"}) == ""
