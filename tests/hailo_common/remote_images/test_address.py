"""Which addresses are asked, and which never."""

from __future__ import annotations

import pytest

from hailo_common.errors import BadRequest
from hailo_common.remote_images.address import Target, is_public, parse, resolve
from hailo_common.remote_images.settings import RemoteImageSettings, is_host_entry

PRIVATE = [
    *("127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "100.64.0.1", "169.254.169.254", "0.0.0.0"),
    *("224.0.0.1", "255.255.255.255", "198.18.0.1", "192.0.2.1", "168.63.129.16", "100.100.100.200"),
    *("::1", "::", "fe80::1", "fc00::1", "fd00:ec2::254", "ff02::1", "2001:db8::1"),
    # An IPv4 address in IPv6's clothes.
    *("::ffff:10.0.0.1", "::ffff:169.254.169.254", "64:ff9b::a00:1", "64:ff9b::a9fe:a9fe", "2002:a00:1::"),
    *("fe80::1%eth0", "nonsense", ""),
]


@pytest.mark.parametrize("address", PRIVATE)
def test_private_networks_and_metadata_are_not_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", ["1.1.1.1", "93.184.216.34", "2606:4700::1111", "64:ff9b::101:101"])
def test_the_internet_is(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    ("url", "target"),
    [
        ("https://Images.Example/a.jpg", Target("https", "images.example", 443, "/a.jpg")),
        ("HTTPS://images.example:8443/a?b=c#d", Target("https", "images.example", 8443, "/a?b=c")),
        ("http://1.1.1.1", Target("http", "1.1.1.1", 80, "/")),
        ("https://[2606:4700::1111]/x", Target("https", "2606:4700::1111", 443, "/x")),
        ("https://images.example./x", Target("https", "images.example", 443, "/x")),
    ],
)
def test_an_address_is_taken_apart(url: str, target: Target) -> None:
    assert parse(url) == target
    assert target.authority in (target.host, f"[{target.host}]", f"{target.host}:{target.port}")


@pytest.mark.parametrize(
    "url",
    [
        *("ftp://a/b", "file:///etc/passwd", "https://", "https://a:b@host/x", "https://user@host/x"),
        *("https://host:99999/x", "https://ho st/x", "https://host/\r\nX: y", "https://h\u00f6st/x"),
        *(
            "https://host\\@evil/x",
            "https://-a/x",
            "gopher://host/x",
            "https://host/" + "x" * 3000,
            "https://[::1",
        ),
    ],
)
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(BadRequest) as refused:
        parse(url)
    assert refused.value.code == "unsupported_image_url"


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "::1", "2130706433", "0x7f.1", "0177.0.0.1"])
def test_a_name_that_leads_home_is_refused_after_its_one_resolution(host: str) -> None:
    """However it is written: what counts is the address that would be connected to."""
    with pytest.raises(BadRequest) as refused:
        resolve(Target("https", host, 443, "/"))
    assert "private network" in refused.value.message


def test_one_private_address_among_public_ones_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    def answer(*_: object, **__: object) -> list[tuple[object, ...]]:
        return [(2, 1, 6, "", ("1.1.1.1", 443)), (2, 1, 6, "", ("10.0.0.1", 443))]

    monkeypatch.setattr("socket.getaddrinfo", answer)
    with pytest.raises(BadRequest):
        resolve(Target("https", "images.example", 443, "/"))


def test_a_name_without_address_is_told() -> None:
    with pytest.raises(BadRequest) as refused:
        resolve(Target("https", "nothing.invalid", 443, "/"))
    assert refused.value.code == "image_fetch_failed"


@pytest.mark.parametrize(
    "entry", ["a.example", "*.example", "a.example:8443", "1.1.1.1", "[2606:4700::1111]:443"]
)
def test_entries_of_hosts(entry: str) -> None:
    assert is_host_entry(entry)


@pytest.mark.parametrize(
    "entry", ["", "*", "a b", "https://a", "a/b", "a:0", "a:x", "*.*.example", "a:99999", "fe80::1%e"]
)
def test_what_is_no_entry(entry: str) -> None:
    assert not is_host_entry(entry)


def test_hosts_are_matched_whole() -> None:
    settings = RemoteImageSettings(hosts=("a.example", "*.B.example", "c.example:8443", "[2606:4700::1111]"))
    allowed = [("a.example", 443), ("x.b.example", 443), ("c.example", 8443), ("2606:4700::1111", 443)]
    refused = [
        ("xa.example", 443),
        ("b.example", 443),
        ("a.example", 8443),
        ("c.example", 443),
        ("x.a.example", 443),
    ]
    assert all(settings.allows(host, port, 443) for host, port in allowed)
    assert not any(settings.allows(host, port, 443) for host, port in refused)
    assert not RemoteImageSettings().allows("a.example", 443, 443)
