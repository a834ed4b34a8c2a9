"""The program behind its socket, and both services that ask it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hailo_common.errors import BadRequest, Busy, ServiceError, TooLarge, Unavailable
from hailo_common.ipc.messages import receive_message, send_message
from hailo_common.owner import owner
from hailo_common.remote_images.client import RemoteImages, is_remote
from hailo_common.remote_images.server import ImageServer
from hailo_common.remote_images.settings import RemoteImageSettings
from tests.hailo_common.remote_images.host import Host, drips, gives, host
from tests.hailo_florence.api.conftest import red_circle
from tests.hailo_florence.api.running import FAKE, FAKE_VISION, Running, started

IMAGE = red_circle()
TREE = Path(__file__).parents[3]


@pytest.fixture
def images() -> Iterator[Host]:
    with host() as made:
        made.answer = gives(IMAGE, ETag='"one"')
        yield made


@contextlib.contextmanager
def serving(root: Path, images: Host, **settings: Any) -> Iterator[None]:
    """The server on its socket below `root`, which takes 127.0.0.1 for a public address."""
    path = root / "run/hailo-images/socket"
    path.parent.mkdir(parents=True, exist_ok=True)
    values = {"hosts": (f"images.example:{images.port}",), "allow_http": True, "timeout_s": 2.0, **settings}
    server = ImageServer(RemoteImageSettings(**values), images.resolver)
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        listener.bind(str(path))
        listener.listen(16)
        over = threading.Event()

        def serve() -> None:
            # As systemd does, again for the next one who comes.
            while not over.is_set():
                server.serve(listener, 0.2)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield
        finally:
            path.unlink()
            over.set()
            thread.join(30)
            assert not thread.is_alive(), "nobody came, and it went on"


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HAILO_APPLIANCE_SYSROOT", str(tmp_path))
    return tmp_path


def url(images: Host, path: str = "/a.jpg") -> str:
    return f"http://images.example:{images.port}{path}"


def fetched(address: str, limit: int = 10_000_000, who: str = "somebody") -> bytes:
    async def work() -> bytes:
        owner.set(who)
        with await RemoteImages(limit).fetch(address) as image:
            return os.pread(image.fd, image.size, 0)

    return asyncio.run(work())


def test_an_image_comes_through(root: Path, images: Host) -> None:
    assert not is_remote(url(images))
    with serving(root, images):
        assert is_remote(url(images))
        assert is_remote(url(images).upper())
        assert not is_remote("data:image/png;base64,AAAA")
        assert not is_remote(b"http://")
        assert fetched(url(images)) == IMAGE
    assert not is_remote(url(images))


def test_what_is_known_is_known_to_its_owner_alone(root: Path, images: Host) -> None:
    with serving(root, images):
        for who, known in (("one", False), ("one", True), ("two", False)):
            fetched(url(images), who=who)
            assert ("If-None-Match" in images.asked[-1]) is known
        images.answer = gives(b"", 304)
        assert fetched(url(images), who="one") == IMAGE
        with pytest.raises(ServiceError):
            fetched(url(images), who="three")


def test_the_cache_is_bounded(root: Path, images: Host) -> None:
    images.answer = gives(b"x" * 400_000, ETag='"one"')
    with serving(root, images, cache_mb=1):
        for path in ("/1", "/2", "/3", "/1"):
            fetched(url(images, path))
        assert ["If-None-Match" in each for each in images.asked] == [False] * 4
        fetched(url(images, "/3"))
        assert "If-None-Match" in images.asked[-1]


@pytest.mark.parametrize(
    ("address", "kind", "word"),
    [
        ("http://other.example/a.jpg", BadRequest, "not among the hosts"),
        ("http://images.example/a.jpg", BadRequest, "not among the hosts"),
        ("http://127.0.0.1:{port}/a.jpg", BadRequest, "not among the hosts"),
        ("http://user@images.example:{port}/a.jpg", BadRequest, "user's name"),
        ("http://images.example:{port}/" + "x" * 3000, BadRequest, "2048"),
    ],
)
def test_only_listed_hosts_are_asked(
    root: Path, images: Host, address: str, kind: type[ServiceError], word: str
) -> None:
    with serving(root, images), pytest.raises(kind, match=word):
        fetched(address.format(port=images.port))
    assert images.asked == []


def test_plain_http_is_off_by_itself(root: Path, images: Host) -> None:
    with serving(root, images, allow_http=False), pytest.raises(BadRequest, match="allow_http"):
        fetched(url(images))


def test_bounds_of_both_sides_hold(root: Path, images: Host) -> None:
    with serving(root, images):
        with pytest.raises(TooLarge):
            fetched(url(images), limit=1000)
        images.answer = gives(b"")
        with pytest.raises(BadRequest, match="empty"):
            fetched(url(images))
    images.answer = gives(IMAGE)
    with serving(root, images, max_image_bytes=1024), pytest.raises(TooLarge):
        fetched(url(images))


def test_nobody_is_there(root: Path) -> None:
    with pytest.raises(Unavailable, match="hailo-images"):
        fetched("http://images.example/a.jpg")


def test_one_that_gives_up_leaves_nothing_behind(root: Path, images: Host) -> None:
    images.answer = drips(10)

    async def work() -> None:
        remote = RemoteImages(1000_000)
        asking = [asyncio.create_task(remote.fetch(url(images))) for _ in range(8)]
        await asyncio.sleep(0.3)
        with pytest.raises(Busy):
            await remote.fetch(url(images))
        for task in asking:
            task.cancel()
        await asyncio.gather(*asking, return_exceptions=True)
        images.answer = gives(IMAGE)
        (await remote.fetch(url(images))).close()

    with serving(root, images):
        asyncio.run(work())


@pytest.mark.parametrize(
    "message",
    [
        {},
        {"url": 5},
        {"url": "http://a", "owner": "x", "limit": True},
        {"url": "http://a", "owner": "x" * 99, "limit": 5},
    ],
)
def test_nonsense_ends_the_connection_and_nothing_else(root: Path, images: Host, message: Any) -> None:
    with serving(root, images):
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as sock:
            sock.connect(str(root / "run/hailo-images/socket"))
            sock.settimeout(5)
            send_message(sock, message)
            assert receive_message(sock) is None
        assert fetched(url(images)) == IMAGE


def test_the_real_program_refuses_this_machine(tmp_path: Path, images: Host) -> None:
    """As systemd starts it, with its own resolver: 127.0.0.1 is refused although it is listed."""
    yaml = tmp_path / "hailo-images.yaml"
    yaml.write_text(f"hosts: [127.0.0.1:{images.port}, localhost:{images.port}]\nallow_http: true\n")
    code = (
        "import os, sys; os.environ['LISTEN_PID'] = str(os.getpid()); from pathlib import Path;"
        "import hailo_common.remote_images.__main__ as program;"
        "from hailo_common.config.load import load_files;"
        "program.load = lambda kind, *_: load_files(kind, [Path(sys.argv[1])]);"
        "program._IDLE_S = 1.0; sys.exit(program.main())"
    )
    path = tmp_path / "socket"
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        listener.bind(str(path))
        listener.listen()
        third = f"import os; os.dup2({listener.fileno()}, 3); exec({code!r})"
        program = subprocess.Popen(
            [sys.executable, "-c", third, str(yaml)],
            pass_fds=[listener.fileno()],
            env={**os.environ, "LISTEN_FDS": "1", "PYTHONPATH": str(TREE)},
            stderr=subprocess.PIPE,
        )
        for name in ("127.0.0.1", "localhost"):
            with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as sock:
                sock.settimeout(20)
                sock.connect(str(path))
                wanted = {"url": f"http://{name}:{images.port}/a.jpg", "owner": "", "limit": 1000}
                send_message(sock, wanted)
                received = receive_message(sock)
                assert received is not None
                assert "private network" in received[0]["message"]
                assert received[1] == []
        _, log = program.communicate(timeout=20)
    assert program.returncode == 0
    assert images.asked == []
    assert [json.loads(line)["code"] for line in log.splitlines()] == ["unsupported_image_url"] * 2


@pytest.fixture(params=["vision", "florence"])
def service(request: pytest.FixtureRequest, root: Path) -> Iterator[tuple[str, Running]]:
    module = FAKE_VISION if request.param == "vision" else FAKE
    with started(module) as running:
        yield request.param, running


def ask(kind: str, running: Running, address: str) -> Any:
    if kind == "florence":
        return running.client.post("/v1/caption", json={"image": address})
    image = {"type": "image_url", "image_url": {"url": address}}
    content = [image, {"type": "text", "text": "What is it?"}]
    return running.client.post(
        "/v1/chat/completions", json={"messages": [{"role": "user", "content": content}]}
    )


def test_services_answer_about_an_address_where_it_is_on(
    service: tuple[str, Running], root: Path, images: Host
) -> None:
    off = ask(*service, url(images))
    assert off.status_code == 400
    assert "unsupported_image_url" in off.text
    with serving(root, images):
        on = ask(*service, url(images))
        assert on.status_code == 200, on.text
        refused = ask(*service, "http://other.example/a.jpg")
        assert refused.status_code == 400
        assert "not among the hosts" in refused.text
        if service[0] == "florence":
            assert refused.json()["param"] == "image"
        images.answer = gives(b"<html>", Content_Type="text/html")
        page = ask(*service, url(images))
        assert page.status_code == 400
        assert "unsupported_image_format" in page.text
    kind, running = service
    if kind == "vision":
        with serving(root, images):
            images.answer = gives(IMAGE)
            source = {"type": "image", "source": {"type": "url", "url": url(images)}}
            asked = {"max_tokens": 5, "messages": [{"role": "user", "content": [source]}]}
            for path in ("/v1/messages", "/v1/messages/count_tokens"):
                assert running.client.post(path, json=asked).status_code == 200
            arguments = {"image": url(images), "question": "What is it?"}
            call = {"name": "ask_image", "arguments": arguments}
            message = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": call}
            assert not running.client.post("/mcp", json=message).json()["result"]["isError"]
            sent = {"images": [url(images), "http://other.example/b.jpg"], "prompt": "x"}
            results = running.client.post("/v1/vision/analyze", json=sent).json()["results"]
            assert results[0]["analysis"] == "x "
            assert results[1]["error"]["param"] == "images[1]"
