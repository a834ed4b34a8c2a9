"""A node that is drained: not ready for load balancers, and yet it answers what it has."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from hailo_common.cli.main import main
from tests.hailo_florence.api.running import FAKE, started
from tests.hailo_florence.api.test_supervision import BODY


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file system for the flag and the configuration."""
    monkeypatch.setenv("HAILO_APPLIANCE_SYSROOT", str(tmp_path))
    return tmp_path


def test_draining_ends_when_the_last_request_is_answered(machine: Path) -> None:
    arguments = ("--options", '{"step_s": 0.5}')
    with started(FAKE, *arguments) as running, ThreadPoolExecutor(1) as pool:
        config = machine / "etc/hailo/hailo-florence.yaml"
        config.parent.mkdir(parents=True)
        config.write_text(f"port: {running.port}\n")
        reply = pool.submit(running.client.post, "/v1/caption", json=BODY)
        running.until(lambda: running.health()["queue"]["running"] == 1)
        assert main(["drain", "--notice", "0"]) == 0
        assert running.health()["queue"] == {"running": 0, "waiting": 0, "size": 8}
        assert reply.result().status_code == 200

        ready = running.client.get("/health/ready")
        assert ready.status_code == 503
        assert "drained" in ready.json()["reason"]
        assert running.client.get("/health").status_code == 200
        assert running.client.post("/v1/caption", json=BODY).status_code == 200

        assert main(["undrain"]) == 0
        assert running.client.get("/health/ready").json() == {"ready": True}


def test_a_node_that_stays_busy_is_drained_all_the_same(machine: Path) -> None:
    arguments = ("--options", '{"step_s": 20}')
    with started(FAKE, *arguments) as running, ThreadPoolExecutor(1) as pool:
        config = machine / "etc/hailo/hailo-florence.yaml"
        config.parent.mkdir(parents=True)
        config.write_text(f"port: {running.port}\n")
        pool.submit(running.client.post, "/v1/caption", json=BODY)
        running.until(lambda: running.health()["queue"]["running"] == 1)
        assert main(["drain", "--notice", "0", "--wait", "0.1"]) == 75
        assert running.client.get("/health/ready").status_code == 503
        running.popen.kill()


def test_without_services_there_is_nothing_to_wait_for(machine: Path) -> None:
    assert main(["drain", "--notice", "0"]) == 0
    assert main(["undrain"]) == 0
    assert main(["undrain"]) == 0
