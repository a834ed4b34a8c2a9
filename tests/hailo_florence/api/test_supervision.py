"""What clients see when the engine dies, hangs or is busy, and when the service stops."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from tests.hailo_florence.api.conftest import data_uri, red_circle
from tests.hailo_florence.api.running import FAKE, Running, started

BODY = {"image": data_uri(red_circle((64, 64)))}


def fake_service(options: dict[str, object], **settings: object):  # type: ignore[no-untyped-def]
    """A fresh service over the fake engine."""
    return started(FAKE, "--options", json.dumps(options), "--settings", json.dumps(settings))


def test_sigkill_mid_request_is_503_and_the_next_request_succeeds() -> None:
    with fake_service({"step_s": 0.5}) as running, ThreadPoolExecutor() as pool:
        reply = pool.submit(running.client.post, "/v1/caption", json=BODY)
        running.until(lambda: running.health()["queue"]["running"] == 1)
        os.kill(running.pid(), signal.SIGKILL)
        lost = reply.result()
        assert (lost.status_code, lost.json()["error"], lost.json()["status"]) == (503, "engine_lost", 503)
        assert "retry-after" in lost.headers
        assert "killed by SIGKILL" in running.health()["engine"]["last_exit"]
        running.until_ready()
        assert running.client.post("/v1/caption", json=BODY).status_code == 200
        assert running.health()["engine"]["restarts"] == 1


def test_sigstop_ends_in_the_deadline_a_kill_and_a_respawn() -> None:
    with fake_service({"step_s": 0.3}, request_timeout_s=1.5) as running, ThreadPoolExecutor() as pool:
        reply = pool.submit(running.client.post, "/v1/caption", json=BODY)
        running.until(lambda: running.health()["queue"]["running"] == 1)
        stopped = running.pid()
        os.kill(stopped, signal.SIGSTOP)
        late = reply.result()
        assert (late.status_code, late.json()["error"]) == (503, "engine_timeout")
        running.until(lambda: running.pid() != stopped)
        running.until_ready()
        assert not Path(f"/proc/{stopped}").exists()
        assert running.client.post("/v1/caption", json=BODY).status_code == 200


def test_a_flood_gets_exactly_its_places_and_quick_refusals(fake: Running) -> None:
    """A16 of tests/threats.md: 60 at once over a queue of one running and three waiting."""

    def post(_: int) -> tuple[int, str, str]:
        reply = httpx.post(f"http://127.0.0.1:{fake.port}/v1/caption", json=BODY, timeout=30)
        return reply.status_code, reply.json().get("error", ""), reply.headers.get("retry-after", "")

    with ThreadPoolExecutor(24) as pool:
        outcomes = list(pool.map(post, range(60)))
    refused = [outcome for outcome in outcomes if outcome[0] != 200]
    assert refused
    assert {outcome[:2] for outcome in refused} == {(503, "queue_full")}
    assert all(1 <= int(outcome[2]) <= 120 for outcome in refused)
    queue = fake.health()["queue"]
    assert (queue["running"], queue["waiting"]) == (0, 0)
    assert fake.health()["memory_mb"]["http"] < 120


def test_a_client_that_hangs_up_frees_the_queue(fake: Running) -> None:
    """A15 of tests/threats.md: the running one stops within a token, the waiting ones lose their places."""
    for _ in range(3):
        threads = [threading.Thread(target=_hang_up, args=(fake.port,)) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        fake.until(lambda: fake.health()["queue"] == {"running": 0, "waiting": 0, "size": 3}, 5)
    assert fake.client.post("/v1/caption", json=BODY).status_code == 200
    assert "Traceback" not in fake.log


def _hang_up(port: int) -> None:
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(f"http://127.0.0.1:{port}/v1/caption", json=BODY, timeout=httpx.Timeout(5, read=0.12))


def test_health_answers_while_an_inference_runs() -> None:
    with fake_service({"step_s": 1.0}) as running, ThreadPoolExecutor() as pool:
        reply = pool.submit(running.client.post, "/v1/caption", json=BODY)
        running.until(lambda: running.health()["queue"]["running"] == 1)
        for _ in range(3):
            assert running.client.get("/health").status_code == 200
        assert not reply.done()
        assert reply.result().status_code == 200


def test_a_hung_engine_is_not_ready_within_15_seconds() -> None:
    with fake_service({"act": "stop"}) as running, ThreadPoolExecutor() as pool:
        reply = pool.submit(running.client.post, "/v1/caption", json=BODY)
        running.until(lambda: running.health()["queue"]["running"] == 1)
        assert running.client.get("/health/ready").status_code == 200
        running.until(lambda: running.client.get("/health/ready").status_code == 503, 15)
        assert "has said nothing for" in running.client.get("/health/ready").json()["reason"]
        assert running.health()["status"] == "degraded"
        os.kill(running.pid(), signal.SIGCONT)
        assert reply.result().status_code == 200
        assert running.client.get("/health/ready").status_code == 200


def test_sigterm_lets_the_request_in_flight_finish() -> None:
    with fake_service({"step_s": 0.4}) as running, ThreadPoolExecutor() as pool:
        reply = pool.submit(running.client.post, "/v1/caption", json=BODY)
        running.until(lambda: running.health()["queue"]["running"] == 1)
        engine = running.pid()
        started_at = time.monotonic()
        assert running.stop() == 0
        assert time.monotonic() - started_at < 30
        assert reply.result().status_code == 200
        assert not Path(f"/proc/{engine}").exists()


def test_a_missing_model_leaves_a_service_that_says_so(tmp_path: Path) -> None:
    with started(("hailo_florence",), "--demo", "--model", str(tmp_path / "none"), ready=False) as running:
        running.until(lambda: running.health()["status"] == "unhealthy")
        ready = running.client.get("/health/ready")
        assert ready.status_code == 503
        assert "none" in ready.json()["reason"]
        assert running.client.get("/health").status_code == 503
        refused = running.client.post("/v1/caption", json=BODY)
        assert (refused.status_code, refused.json()["error"]) == (503, "model_not_ready")


def test_a_loading_model_is_degraded_and_answers_503() -> None:
    arguments = ("--options", '{"load_s": 30}')
    with started(FAKE, *arguments, ready=False) as running:
        running.until(lambda: running.client.get("/health").status_code == 200)
        assert running.health()["status"] == "degraded"
        assert running.client.get("/health/ready").status_code == 503
        refused = running.client.post("/v1/caption", json=BODY)
        assert (refused.status_code, refused.json()["error"]) == (503, "model_not_ready")


def test_a_stop_while_a_model_loads_is_no_alarm() -> None:
    with started(FAKE, "--options", '{"load_s": 30}', ready=False) as running:
        running.until(lambda: running.client.get("/health").status_code == 200)
        running.until(lambda: running.health()["engine"]["pid"] is not None)
        assert running.stop() == 0
        for word in ("WARNING", "ERROR", "CRITICAL", "Traceback"):
            assert word not in running.log


@pytest.mark.parametrize(
    ("act", "status", "code"),
    [("raise", 500, "inference_failed"), ("lose", 503, "device_lost")],
)
def test_engine_errors_have_their_statuses(act: str, status: int, code: str) -> None:
    with fake_service({"act": act}) as running:
        reply = running.client.post("/v1/caption", json=BODY)
        assert (reply.status_code, reply.json()["error"], reply.json()["status"]) == (status, code, status)
        assert "secret" not in reply.text


def test_a_model_that_cannot_answer_questions_says_501() -> None:
    with fake_service({"vqa": False}) as running:
        reply = running.client.post("/v1/vqa", json={**BODY, "question": "What?"})
        assert (reply.status_code, reply.json()["error"]) == (501, "vqa_not_configured")


def test_the_wait_for_a_load_is_logged() -> None:
    """A model that was unloaded for idleness is waited for, and the log says how long."""
    with fake_service({"load_s": 0.5}, keep_alive_s=1.0) as running:
        for wait in (False, True):
            if wait:
                running.until(lambda: running.health()["engine"]["phase"] == "unloaded")
            assert running.client.post("/v1/caption", json=BODY).status_code == 200
        logged = [json.loads(line) for line in running.log.splitlines() if "tokens_generated" in line]
        assert [line["load_time_ms"] >= 500 for line in logged] == [False, True]
        assert logged[1]["total_ms"] >= logged[1]["load_time_ms"]
