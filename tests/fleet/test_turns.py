"""Nodes leave service one after the other, and while none is in it, requests wait at the gateway."""

from __future__ import annotations

import itertools
import os
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from tests.fleet.gateway import ADDRESSES, Gateway, ask, question
from tests.fleet.nodes import PORT, Node
from tests.machine.roots import TREE

pytestmark = pytest.mark.fleet
TURNS = f"http://127.0.0.1:{PORT + 2}"
NODES = 4
"""That upgrade at the same moment."""
OUT_S = 1.5
"""How long each is out of service."""


@pytest.fixture
def gateway(gateway: Gateway) -> Gateway:
    """A gateway that gives turns."""
    gateway.set(turns=TURNS.removeprefix("http://"))
    return gateway


def turn(words: str) -> int:
    """The status of the gateway's word."""
    return httpx.get(f"{TURNS}/turn/{words}", timeout=10).status_code


def test_a_turn_is_one_nodes_until_it_gives_it_back_or_its_time_is_over(
    gateway: Gateway, nodes: list[Node]
) -> None:
    with gateway.running(3):
        assert turn("take/a/60") == 200
        assert turn("take/b/60") == 409
        assert turn("back/b") == 200
        assert turn("take/b/60") == 409
        assert turn("take/a/60") == 200
        assert turn("back/a") == 200
        assert turn("take/b/1") == 200
        assert turn("take/a/60") == 409
        time.sleep(2.1)
        assert turn("take/a/60") == 200
        for wrong in (
            "take/a",
            "take/a/0",
            "take/a/9999",
            "take/a%20b/9",
            "take/../9",
            "",
            "back/",
            f"take/{'a' * 65}/9",
        ):
            assert turn(wrong) == 404, wrong


def test_the_last_node_in_service_gets_no_turn(gateway: Gateway, nodes: list[Node]) -> None:
    with gateway.running(3):
        assert turn("take/a/60") == 200
        for node in nodes[:2]:
            node.ready = False
        gateway.await_nodes(1)
        assert turn("back/a") == 200
        assert turn("take/c/60") == 409
        nodes[0].ready = True
        gateway.await_nodes(2)
        assert turn("take/c/60") == 200


def test_without_turns_nobody_listens(gateway: Gateway, nodes: list[Node]) -> None:
    gateway.set(turns="")
    with gateway.running(3), pytest.raises(httpx.ConnectError):
        turn("take/a/60")


def guard(folder: Path, number: int, place: str, wait_s: int = 60) -> str:
    """What a node does around an upgrade, in a UTS namespace of its own; the times at which it was out."""
    defaults = folder / f"defaults-{number}"
    defaults.write_text(f"HAILO_FLEET_TURNS={place}\n")
    script = TREE / "fleet/node/hailo-fleet-guard"
    line = (
        f"hostname node{number} && sh {script} turn && cut -d' ' -f1 /proc/uptime && sleep {OUT_S}"
        f" && cut -d' ' -f1 /proc/uptime && sh {script} turn-back"
    )
    environ = {
        **os.environ,
        "HAILO_FLEET_DEFAULTS": str(defaults),
        "HAILO_FLEET_WAIT_S": str(wait_s),
        "HAILO_FLEET_PAUSE_S": "1",
    }
    done = subprocess.run(
        ["unshare", "--uts", "sh", "-c", line],
        capture_output=True,
        text=True,
        env=environ,
        timeout=120,
        check=True,
    )
    return done.stdout + done.stderr


def test_nodes_that_upgrade_at_once_leave_service_one_after_the_other(
    gateway: Gateway, nodes: list[Node], tmp_path: Path
) -> None:
    """Each drained itself when its own timer said so, and nothing kept all of them from doing it together."""
    with gateway.running(3), ThreadPoolExecutor(NODES) as pool:
        told = pool.map(lambda number: guard(tmp_path, number, TURNS), range(NODES))
        out = sorted(tuple(map(float, each.split()[:2])) for each in told)
    print(f"\nout of service: {out}")
    assert len(out) == NODES
    assert all(before[1] <= after[0] for before, after in itertools.pairwise(out))


def test_a_gateway_that_is_away_delays_an_upgrade_and_does_not_stop_it(tmp_path: Path) -> None:
    told = guard(tmp_path, 0, "http://127.0.0.1:9", wait_s=2)
    assert "hailo-fleet: no turn from http://127.0.0.1:9 within 2 s; going on without" in told
    (tmp_path / "no").mkdir()
    assert "hailo-fleet" not in guard(tmp_path / "no", 0, "ftp://nowhere")


def test_requests_wait_while_all_nodes_are_drained(gateway: Gateway, nodes: list[Node]) -> None:
    """They got 503 at once, although a node was back seconds later."""
    with gateway.running(3), ThreadPoolExecutor(4) as pool:
        for node in nodes:
            node.ready = False
        gateway.await_nodes(0)
        waiting = [pool.submit(ask, question(f"question {n}")) for n in range(4)]
        time.sleep(2)
        assert not any(each.done() for each in waiting)
        assert not any(node.seen for node in nodes)
        nodes[1].ready = True
        assert [each.result().json()["node"] for each in waiting] == [ADDRESSES[1]] * 4


def test_they_do_not_wait_for_ever(gateway: Gateway, nodes: list[Node]) -> None:
    gateway.set(queue_timeout="2")
    with gateway.running(3):
        for node in nodes:
            node.ready = False
        gateway.await_nodes(0)
        began = time.monotonic()
        answer = ask(question("hello"))
        assert answer.status_code == 503
        assert answer.headers["Retry-After"] == "5"
        assert 1.5 < time.monotonic() - began < 10
        # What needs no inference is not worth the wait.
        assert httpx.get(f"http://127.0.0.1:{PORT}/v1/models", timeout=2).status_code == 503
