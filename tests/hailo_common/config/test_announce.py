"""What the network is told of a service: Avahi's file, when and with what."""

from __future__ import annotations

import os
from pathlib import Path
from xml.etree import ElementTree

import pytest

from hailo_common.config.announce import announcement, write_announcement
from hailo_common.config.common_keys import CommonSettings
from hailo_common.config.render import addresses_of
from hailo_common.errors import ConfigError
from hailo_florence.config import FlorenceSettings
from hailo_vision.config import VisionSettings


def told(service: str, settings: CommonSettings) -> ElementTree.Element | None:
    """The only service of the file that is written."""
    content = announcement(service, settings, addresses_of(settings))
    if not content:
        return None
    group = ElementTree.fromstring(content)
    assert group.tag == "service-group"
    name = group.find("name")
    assert name is not None
    assert (name.text, name.attrib) == (f"{service} on %h", {"replace-wildcards": "yes"})
    [found] = group.findall("service")
    return found


def records(found: ElementTree.Element | None) -> dict[str, str]:
    assert found is not None
    texts = [record.text or "" for record in found.findall("txt-record")]
    return dict(text.split("=", 1) for text in texts)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "127.0.0.2"])
def test_what_only_this_machine_reaches_is_not_announced(host: str) -> None:
    assert told("hailo-vision", VisionSettings(host=host)) is None


@pytest.mark.parametrize(
    ("host", "protocol"),
    [("0.0.0.0", "ipv4"), ("192.168.1.7", "ipv4"), ("::", "any"), ("fe80::1%eth0", "ipv6")],
)
def test_what_the_network_reaches_is(host: str, protocol: str) -> None:
    found = told("hailo-vision", VisionSettings(host=host, port=8081))
    assert found is not None
    assert found.get("protocol") == protocol
    assert [found.findtext("type"), found.findtext("port")] == ["_http._tcp", "8081"]
    assert records(found) == {
        "path": "/v1",
        "model": "qwen2-vl-2b-instruct",
        "service": "hailo-vision",
        "key": "none",
    }


def test_it_is_off_by_a_key() -> None:
    assert told("hailo-vision", VisionSettings(host="0.0.0.0", announce=False)) is None


def test_model_and_key_are_what_clients_need() -> None:
    several = VisionSettings(host="0.0.0.0", models=("eye=demo", "other=demo"), api_keys=("12345678",))
    assert records(told("hailo-vision", several))["model"] == "eye"
    assert records(told("hailo-vision", several))["key"] == "required"
    assert "12345678" not in announcement("hailo-vision", several, ["0.0.0.0"])
    florence = FlorenceSettings(host="0.0.0.0", model_dir="")
    assert records(told("hailo-florence", florence))["model"] == "florence-2"
    odd = VisionSettings(host="0.0.0.0", model_aliases=("a" * 128,))
    assert records(told("hailo-vision", odd))["model"] == "a" * 128


def test_the_file_follows(tmp_path: Path) -> None:
    folder = tmp_path / "services"
    assert write_announcement("hailo-vision", "text", folder) is None
    folder.mkdir()
    path = folder / "hailo-vision.service"
    assert write_announcement("hailo-vision", "", folder) is None
    assert write_announcement("hailo-vision", "text", folder) == path
    assert path.read_text() == "text"
    assert path.stat().st_mode & 0o777 == 0o644
    assert write_announcement("hailo-vision", "text", folder) is None
    path.write_bytes(b"\xff\0 after a power cut")
    assert write_announcement("hailo-vision", "text", folder) == path
    assert write_announcement("hailo-vision", "", folder) == path
    assert list(folder.iterdir()) == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_may_not_be_written_is_named(tmp_path: Path) -> None:
    tmp_path.chmod(0o555)
    with pytest.raises(ConfigError, match=r"hailo-vision\.service"):
        write_announcement("hailo-vision", "text", tmp_path)
