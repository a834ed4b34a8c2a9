"""The running service while its chip is lost, hangs, dies, is taken or comes back: what clients are told."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.hailo_florence.api.conftest import data_uri, red_circle
from tests.hailo_florence.api.running import Running
from tests.hailo_florence.npu.serving import on_chip
from tests.npu import VERSIONS, Fault, Kind, Machine

IMAGE = data_uri(red_circle())
HOLDER = """
import sys
from hailo_platform import VDevice
params = VDevice.create_params()
params.group_id = sys.argv[1]
with VDevice(params):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture(scope="module", params=VERSIONS)
def chip(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    with Machine(tmp_path_factory.mktemp("service"), version=request.param) as machine:
        yield machine


@pytest.fixture(scope="module")
def service(chip: Machine, npu_model: Path) -> Iterator[Running]:
    with on_chip(chip, npu_model, request_timeout_s=8, device_timeout_s=2) as running:
        yield running


def caption(service: Running) -> httpx.Response:
    return service.client.post("/v1/caption", json={"image": IMAGE})


def works(service: Running, chip: Machine) -> None:
    chip.heal()
    service.until_ready(120)
    assert caption(service).json().get("caption") == "a red circle"


def counted(service: Running, name: str) -> float:
    line = next(line for line in service.client.get("/metrics").text.splitlines() if line.startswith(name))
    return float(line.split()[-1])


@pytest.mark.parametrize(
    ("call", "what", "code"),
    [
        ("inference", "status", "device_lost"),
        ("inference", "lost", "device_lost"),
        ("ConfiguredInferModel.run_async", "status", "device_lost"),
        ("inference", "hang-free", "device_unresponsive"),
        ("AsyncInferJob.wait", "hang", "engine_timeout"),
        ("ConfiguredInferModel.run_async", "hang", "engine_timeout"),
        ("inference", "die", "engine_lost"),
        ("AsyncInferJob.wait", "die", "engine_lost"),
    ],
)
def test_a_lost_chip_is_503_and_a_new_engine_answers(
    service: Running, chip: Machine, call: str, what: Kind, code: str
) -> None:
    works(service, chip)
    before, losses = service.pid(), counted(service, "hailo_florence_device_losses_total")
    chip.inject(Fault(call, what, status=62, at=3))
    reply = caption(service)
    assert (reply.status_code, reply.json()["error"]) == (503, code), reply.text
    assert reply.headers["retry-after"]
    works(service, chip)
    assert service.pid() != before
    assert service.health()["engine"]["restarts"] >= 1
    lost = counted(service, "hailo_florence_device_losses_total") - losses
    assert lost >= (1 if code.startswith("device") else 0)


@pytest.mark.parametrize("what", ["hang", "delay"])
def test_health_answers_while_the_chip_holds_pythons_lock(
    service: Running, chip: Machine, what: Kind
) -> None:
    """The lock is held in the engine process, where no probe waits for it."""
    works(service, chip)
    chip.inject(Fault("AsyncInferJob.wait", what, seconds=5, at=2))
    with ThreadPoolExecutor(1) as pool, httpx.Client(base_url=service.client.base_url, timeout=60) as prober:
        answer = pool.submit(caption, service)
        service.until(lambda: prober.get("/health").json()["queue"]["running"] == 1)
        answered = 0
        while not answer.done():
            # 503 after three hangs in ten minutes, as other tests leave it: the device is unresponsive.
            assert prober.get("/health").json()["engine"]["pid"]
            answered += 1
    assert answered > 10
    assert answer.result().status_code == (200 if what == "delay" else 503)
    works(service, chip)


@contextmanager
def held(chip: Machine, group: str) -> Iterator[subprocess.Popen[str]]:
    """Another program has the chip."""
    popen = subprocess.Popen(
        [sys.executable, "-c", HOLDER, group],
        env={**os.environ, **chip.environ},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert popen.stdout is not None
    assert popen.stdout.readline() == "held\n"
    try:
        yield popen
    finally:
        popen.communicate()


def not_ready(service: Running) -> dict[str, Any]:
    reply = service.client.get("/health/ready")
    return dict(reply.json()) if reply.status_code == 503 else {}


def test_a_chip_in_use_is_named_and_taken_when_it_is_free(npu_model: Path, tmp_path: Path) -> None:
    with (
        Machine(tmp_path) as machine,
        held(machine, "UNIQUE") as holder,
        on_chip(machine, npu_model, ready=False, device_timeout_s=0.5) as service,
    ):
        service.until(lambda: not_ready(service).get("code") == "device_busy")
        # The engine's walls keep it from looking at other processes: root's doctor does.
        assert "`sudo hailo-ctl doctor` names it" in not_ready(service)["reason"]
        reply = caption(service)
        assert (reply.status_code, reply.json()["error"]) == (503, "device_busy")
        assert "group_id" in reply.json()["message"]
        assert service.client.get("/health").status_code == 503
        holder.communicate()
        works(service, machine)


def test_programs_of_one_group_share_the_chip(npu_model: Path, tmp_path: Path) -> None:
    with (
        Machine(tmp_path) as machine,
        held(machine, "pair"),
        on_chip(machine, npu_model, hailo_group_id="pair") as service,
    ):
        assert caption(service).json()["caption"] == "a red circle"


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        ({"devices": ()}, "device_absent", "no Hailo device found"),
        (
            {"driver": "5.0.1"},
            "driver_mismatch",
            f"the kernel driver is 5.0.1 and the HailoRT library {VERSIONS[-1]}",
        ),
        ({"accelerator": 0}, "wrong_device", "HailoRT 5 does not drive a Hailo-8"),
        ({"faults": [Fault("import", "status", status=8, times=0)]}, "hailort_broken", "the same release"),
    ],
)
def test_a_chip_that_cannot_be_had_says_why(
    npu_model: Path, tmp_path: Path, options: dict[str, Any], code: str, words: str
) -> None:
    with Machine(tmp_path, **options) as machine, on_chip(machine, npu_model, ready=False) as service:
        service.until(lambda: not_ready(service).get("code") == code)
        assert words in not_ready(service)["reason"]
        assert words in service.health()["error"]
        assert service.health()["code"] == code


def test_a_hailo_8_leaves_the_work_to_the_cpu_when_the_backend_may_be_chosen(
    both: Path, tmp_path: Path
) -> None:
    with Machine(tmp_path, accelerator=0) as machine, on_chip(machine, both, backend="auto") as service:
        assert caption(service).json()["caption"] == "a red circle"
        health = service.health()
        assert health["status"] == "degraded"
        assert any("Hailo-8" in stage["reason"] for stage in health["stages"] if stage.get("fell_back"))
