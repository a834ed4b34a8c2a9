"""One image over a real socket: what is taken of a host, and for how long."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

from hailo_common.errors import BadRequest, ServiceError, TooLarge
from hailo_common.remote_images.address import Target
from hailo_common.remote_images.fetch import Fetched, fetch
from tests.hailo_common.remote_images.host import Host, drips, gives, host, silent_port

LIMIT = 1000


@pytest.fixture
def images() -> Iterator[Host]:
    with host() as made:
        yield made


def get(images: Host, **more: Any) -> Fetched:
    target = Target("http", "images.example", images.port, "/a.jpg?b")
    return fetch(target, **{"limit": LIMIT, "timeout_s": 2.0, "resolver": images.resolver, **more})


def refused(images: Host, **more: Any) -> ServiceError:
    with pytest.raises(ServiceError) as error:
        get(images, **more)
    return error.value


def test_the_file_is_fetched(images: Host) -> None:
    images.answer = gives(b"x" * LIMIT, ETag='"one"')
    assert get(images) == Fetched(b"x" * LIMIT, '"one"')
    [asked] = images.asked
    assert asked["path"] == "/a.jpg?b"
    assert asked["Host"] == f"images.example:{images.port}"
    assert "Authorization" not in asked
    assert "Cookie" not in asked


def test_a_known_file_is_not_sent_again(images: Host) -> None:
    known = Fetched(b"known", '"one"')
    images.answer = gives(b"", 304)
    assert get(images, known=known) is known
    assert images.asked[0]["If-None-Match"] == '"one"'
    images.answer = gives(b"new", ETag='"two"')
    assert get(images, known=known) == Fetched(b"new", '"two"')
    images.answer = gives(b"", 304)
    assert isinstance(refused(images, known=known, limit=3), TooLarge)
    assert refused(images).code in ("unsupported_image_url", "image_fetch_failed")


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_no_redirect_is_followed(images: Host, status: int) -> None:
    images.answer = gives(b"", status, Location=f"http://127.0.0.1:{images.port}/other")
    assert "redirects are not followed" in refused(images).message
    assert len(images.asked) == 1


@pytest.mark.parametrize(
    ("answer", "word"),
    [
        (gives(b"no", 404), "status 404"),
        (gives(b"no", 500), "status 500"),
        (gives(b"x", Content_Encoding="gzip"), "compressed"),
        (gives(b"x" * 10, Content_Length="20"), "broke off"),
        (lambda handler: handler.wfile.write(b"nonsense\n"), "failed"),
    ],
)
def test_what_is_no_file_is_told(images: Host, answer: Any, word: str) -> None:
    images.answer = answer
    assert word in refused(images).message


@pytest.mark.parametrize("stated", [True, False])
def test_a_large_file_is_broken_off(images: Host, stated: bool) -> None:
    images.answer = gives(b"x" * 5_000_000) if stated else gives(b"x" * 5_000_000, Content_Length="")
    error = refused(images)
    assert isinstance(error, TooLarge)
    assert (error.code, "1,000 bytes" in error.message) == ("image_too_large", True)


def test_dripping_does_not_help(images: Host) -> None:
    """Each byte comes in time, the whole does not."""
    images.answer = drips(10)
    began = time.monotonic()
    assert refused(images, timeout_s=1.0).code == "image_fetch_failed"
    assert time.monotonic() - began < 4


def test_a_host_that_says_nothing() -> None:
    listener, port = silent_port()
    with listener:
        began = time.monotonic()
        for scheme in ("http", "https"):
            with pytest.raises(BadRequest):
                fetch(
                    Target(scheme, "images.example", port, "/"),
                    limit=LIMIT,
                    timeout_s=0.5,
                    resolver=lambda _: ["127.0.0.1"],
                )
        assert time.monotonic() - began < 4


def test_a_host_without_tls_or_at_all(images: Host) -> None:
    target = Target("https", "images.example", images.port, "/")
    with pytest.raises(BadRequest, match="TLS"):
        fetch(target, limit=LIMIT, timeout_s=2, resolver=images.resolver)
    listener, port = silent_port()
    listener.close()
    with pytest.raises(BadRequest, match="does not answer"):
        fetch(Target("http", "a", port, "/"), limit=LIMIT, timeout_s=2, resolver=images.resolver)


@pytest.mark.parametrize(
    "answer", [gives(b"x"), gives(b"x", ETag="bare"), gives(b"x", ETag='"a"', Cache_Control="no-store")]
)
def test_what_cannot_be_asked_again_has_no_etag(images: Host, answer: Any) -> None:
    images.answer = answer
    assert get(images).etag == ""
