"""The chip's coming and going: loads that fail or hang, other programs, idleness, the end of the service."""

from __future__ import annotations

import concurrent.futures
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from time import sleep
from typing import Any

import httpx
import pytest

from hailo_vision.onnx.engine import OnnxVisionEngine
from tests.hailo_sim.make import make_vision_folder
from tests.hailo_vision.conversations import DEMO
from tests.hailo_vision.npu.faults import REMEDY, Case, load_cases, some
from tests.hailo_vision.npu.serving import (
    CHAT,
    DESCRIBE,
    Npu,
    OnDemand,
    body,
    content,
    error_of,
    scene,
    serving,
    truth,
    user,
)
from tests.npu import VERSIONS, Fault, Machine

LOAD_S = 15
"""Longer than a whole load on a machine that has much else to do."""
FULL = os.environ.get("HAILO_CAMPAIGN") == "full"
CASES = [
    pytest.param(version, case, id=f"{version}-{case}")
    for version in VERSIONS
    for case in (load_cases() if FULL else some(load_cases(), version, 1))
]
HOLD = """
import sys, time
from hailo_platform import VDevice
params = VDevice.create_params()
params.group_id = sys.argv[1]
device = VDevice(params)
model = None
if len(sys.argv) > 2:
    from hailo_platform.genai import VLM
    model = VLM(device, sys.argv[2])
print("held", flush=True)
sys.stdin.read()
if model is not None:
    model.release()
device.release()
"""


@contextmanager
def held(machine: Machine, *arguments: str) -> Iterator[None]:
    """Another program that has the chip, and gives it back in order."""
    program = subprocess.Popen(
        [sys.executable, "-c", HOLD, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, **machine.environ},
    )
    assert program.stdout is not None
    assert program.stdin is not None
    try:
        assert program.stdout.readline() == b"held\n"
        yield
    finally:
        program.stdin.close()
        program.wait(30)
        program.stdout.close()


@dataclass
class Waiting(Npu):
    """A service that waits for a chip which another program has until `let_go`."""

    let_go: Callable[[], None]


@contextmanager
def waiting(machine: Machine, model: Path, *arguments: str) -> Iterator[Waiting]:
    """Start the service while another program, see `held`, has the chip."""
    with ExitStack() as other:
        other.enter_context(held(machine, *arguments))
        with serving(machine, model, ready=False, device_timeout_s=0.5) as npu:
            yield Waiting(npu.service, npu.machine, other.close)


def ready(npu: Npu) -> tuple[int, dict[str, Any]]:
    """Status and body of /health/ready."""
    reply = npu.service.client.get("/health/ready")
    return reply.status_code, dict(reply.json())


def until_code(npu: Npu, code: str) -> str:
    """Wait until the service says that it is not ready for this reason; returns the reason in words."""
    npu.service.until(lambda: ready(npu)[1].get("code") == code)
    return str(ready(npu)[1]["reason"])


@pytest.fixture(scope="module")
def services(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OnDemand]:
    """They are quick to give up."""
    settings: dict[str, Any] = {"device_timeout_s": 0.5, "load_timeout_s": 20}

    @contextmanager
    def begin(version: str) -> Iterator[Npu]:
        folder = tmp_path_factory.mktemp(f"loading-{version}")
        with Machine(folder, version=version) as machine, serving(machine, model, **settings) as npu:
            yield npu

    with OnDemand(begin) as made:
        yield made


@pytest.mark.parametrize(("version", "case"), CASES)
def test_a_fault_at_every_load(services: OnDemand, cpu: OnnxVisionEngine, version: str, case: Case) -> None:
    npu = services[version]
    npu.until_ready()
    npu.machine.inject(case.fault)
    os.kill(npu.service.pid(), signal.SIGKILL)
    npu.service.until(lambda: ready(npu)[1].get("code") in case.codes)
    status, told = ready(npu)
    assert status == 503
    assert REMEDY.search(told["reason"]), told
    reply = npu.describe(20)
    assert (reply.status_code, error_of(reply)["code"]) == (503, told["code"])
    assert npu.service.client.get("/health").status_code == 503
    npu.machine.heal()
    npu.until_ready()
    assert content(npu.describe(22)) == truth(cpu, 22)
    assert npu.machine.violations() == ""


@pytest.mark.parametrize("version", VERSIONS)
def test_a_model_that_hangs_while_it_loads(
    model: Path, tmp_path: Path, cpu: OnnxVisionEngine, version: str
) -> None:
    with (
        Machine(tmp_path, version=version) as machine,
        serving(machine, model, load_timeout_s=LOAD_S) as npu,
    ):
        machine.inject(Fault("VLM", "hang"))
        engine = npu.service.pid()
        os.kill(engine, signal.SIGKILL)
        npu.service.until(lambda: npu.service.pid() not in (None, engine))
        hung = npu.service.pid()
        assert npu.describe(20).status_code == 503
        assert npu.service.pid() == hung, "it is refused at once, not when the load is given up"
        npu.service.until(lambda: npu.service.pid() != hung, LOAD_S + 20)
        assert f"the model did not load within {LOAD_S} s" in npu.service.health()["engine"]["last_exit"]
        npu.until_ready()
        assert content(npu.describe(22)) == truth(cpu, 22)


@pytest.mark.parametrize("status", [14, 91, 92, 93])
def test_a_hef_that_can_never_load_ends_the_service(model: Path, tmp_path: Path, status: int) -> None:
    """Exit status 78, so that systemd does not try again."""
    fault = Fault("VLM", "status", status=status, times=0)
    with (
        Machine(tmp_path, faults=[fault]) as machine,
        serving(machine, model, ready=False) as npu,
    ):
        assert npu.service.popen.wait(60) == 78
        assert "Qwen2-VL-2B-Instruct.hef" in npu.service.log


@pytest.mark.parametrize("version", VERSIONS)
def test_a_hef_of_a_later_release_is_told(tmp_path: Path, version: str) -> None:
    """Users report status 6 of one that is too new: from 5.3 on that of a place that is taken, too."""
    newer = make_vision_folder(tmp_path / "model", zoo="5.9.0")
    fault = Fault("VLM", "status", status=6, times=0)
    with (
        Machine(tmp_path / "machine", version=version, faults=[fault]) as machine,
        serving(machine, newer, ready=False) as npu,
    ):
        assert "another version of HailoRT" in until_code(npu, "device_lost")


@pytest.mark.parametrize("version", VERSIONS)
def test_a_hef_that_the_library_refuses_for_its_release_ends_the_service(
    tmp_path: Path, version: str
) -> None:
    newer = make_vision_folder(tmp_path / "model", zoo="5.9.0")
    with (
        Machine(tmp_path / "machine", version=version) as machine,
        serving(machine, newer, ready=False) as npu,
    ):
        assert npu.service.popen.wait(60) == 78
        assert "status 26" in npu.service.log


def test_a_hef_of_another_chip_makes_room_for_the_cpu(tmp_path: Path, cpu: OnnxVisionEngine) -> None:
    both = make_vision_folder(tmp_path / "model", frame=(96, 96, 3))
    shutil.copytree(DEMO / "onnx", both / "onnx")
    fault = Fault("VLM", "status", status=93, times=0)
    with (
        Machine(tmp_path / "machine", faults=[fault]) as machine,
        serving(machine, both, backend="auto") as npu,
    ):
        health = npu.service.health()
        assert health["status"] == "degraded"
        assert all(stage["fell_back"] and "onnxruntime" in stage["backend"] for stage in health["stages"])
        assert "status 93" in health["stages"][0]["reason"]
        assert content(npu.describe(20)) == truth(cpu, 20)


@pytest.mark.parametrize("backend", ["auto", "cpu"])
def test_the_backend_is_a_choice(model: Path, tmp_path: Path, backend: str) -> None:
    both = make_vision_folder(tmp_path / "model")
    shutil.copytree(DEMO / "onnx", both / "onnx")
    with Machine(tmp_path / "machine") as machine, serving(machine, both, backend=backend) as npu:
        stages = npu.service.health()["stages"]
        wanted = "HailoRT" if backend == "auto" else "onnxruntime"
        assert all(wanted in stage["backend"] for stage in stages)


def test_without_a_chip_a_model_for_it_waits(model: Path, tmp_path: Path) -> None:
    with (
        Machine(tmp_path, devices=()) as machine,
        serving(machine, model, backend="auto", ready=False) as npu,
    ):
        assert "no Hailo device found" in until_code(npu, "device_absent")


@pytest.mark.parametrize("version", VERSIONS)
def test_the_chip_is_taken_when_another_program_gives_it_back(
    model: Path, tmp_path: Path, cpu: OnnxVisionEngine, version: str
) -> None:
    with Machine(tmp_path, version=version) as machine, waiting(machine, model, "UNIQUE") as npu:
        assert "group_id, here SHARED" in until_code(npu, "device_busy")
        reply = npu.describe(20)
        assert (reply.status_code, error_of(reply)["code"]) == (503, "device_busy")
        assert npu.service.client.get("/health").json()["status"] == "unhealthy"
        npu.let_go()
        npu.until_ready()
        assert content(npu.describe(22)) == truth(cpu, 22)


def test_two_programs_share_the_chip(model: Path, tmp_path: Path, cpu: OnnxVisionEngine) -> None:
    with (
        Machine(tmp_path) as machine,
        held(machine, "SHARED"),
        serving(machine, model) as npu,
    ):
        assert content(npu.describe(22)) == truth(cpu, 22)


@pytest.mark.parametrize("version", VERSIONS[1:])
def test_only_one_language_model_fits_on_the_chip(model: Path, tmp_path: Path, version: str) -> None:
    """HailoRT 5.2.0 hangs up on the second one, 5.3 says "invalid operation"; 5.1.1 has no guard."""
    hef = str(model / "Qwen2-VL-2B-Instruct.hef")
    with Machine(tmp_path, version=version) as machine, waiting(machine, model, "SHARED", hef) as npu:
        assert "language model is taken" in until_code(npu, "device_busy")


@pytest.mark.parametrize("version", VERSIONS)
def test_an_idle_model_leaves_the_chip_to_others(
    model: Path, tmp_path: Path, cpu: OnnxVisionEngine, version: str
) -> None:
    with (
        Machine(tmp_path, version=version) as machine,
        serving(machine, model, keep_alive_s=1) as npu,
    ):
        npu.service.until(lambda: npu.service.health()["engine"]["phase"] == "unloaded")
        health = npu.service.health()
        assert (health["status"], health["model_loaded"]) == ("healthy", False)
        assert ready(npu) == (200, {"ready": True, "phase": "unloaded"})
        with held(machine, "UNIQUE"):
            reply = npu.describe(20)
            assert (reply.status_code, error_of(reply)["code"]) == (503, "device_busy")
        npu.until_ready()
        assert content(npu.describe(22)) == truth(cpu, 22)


@pytest.mark.parametrize("version", VERSIONS)
def test_several_models_take_turns_on_the_chip_beside_one_on_the_cpu(
    model: Path, tmp_path: Path, cpu: OnnxVisionEngine, version: str
) -> None:
    """A second model on the chip would be refused, or undefined: its place is given back first."""
    models = [f"one={model}", f"two={model}", f"cpu={DEMO}"]
    with (
        Machine(tmp_path, version=version, log_calls=True) as machine,
        serving(machine, model, model_dir="", backend="auto", models=models) as npu,
    ):
        for number, name in enumerate(("one", "cpu", "two", "one", "cpu")):
            assert content(npu.describe(20 + number, model=name)) == truth(cpu, 20 + number)
        rows = {row["name"]: row for row in npu.service.health()["models"]}
        assert [rows[name]["loads"] for name in ("one", "two", "cpu")] == [2, 1, 1]
        assert [rows[name]["state"] for name in ("one", "two", "cpu")] == ["loaded", "not loaded", "loaded"]
        assert "it made room for one" in rows["two"]["reason"]
        with concurrent.futures.ThreadPoolExecutor(4) as threads:
            asked = [
                threads.submit(npu.describe, 22, model=("one", "two")[number % 2]) for number in range(4)
            ]
            assert {content(each.result()) for each in asked} == {truth(cpu, 22)}
        health = npu.service.health()
        assert (health["engine"]["restarts"], health["engine"]["device_losses"]) == (0, 0)
        assert npu.service.stop() == 0
        places = [call for call in machine.calls() if call in ("VLM", "VLM.release")]
        assert places == ["VLM", "VLM.release"] * (len(places) // 2)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("when", ["idle", "in a stream", "in a slow step", "twice"])
def test_the_end_of_the_service_releases_all_in_order(
    model: Path, tmp_path: Path, version: str, when: str
) -> None:
    """The simulator fails the test for a model released before its answer, a chip before its model."""
    with Machine(tmp_path, version=version, log_calls=True) as machine, serving(machine, model) as npu:
        if when != "idle":
            seconds = 3.0 if when == "in a slow step" else 0.3
            machine.inject(Fault("token", "delay", seconds=seconds, times=0))
            request = body([user(scene(20), DESCRIBE)], stream=True)
            with npu.service.client.stream("POST", CHAT, json=request) as reply:
                lines = reply.iter_lines()
                next(lines)
                npu.service.popen.send_signal(signal.SIGTERM)
                if when in ("twice", "in a slow step"):
                    sleep(0.5 if when == "in a slow step" else 0)
                    npu.service.popen.send_signal(signal.SIGTERM)
                with suppress(httpx.TransportError):
                    assert list(lines)
        # One more signal could meet a process whose handlers are gone already.
        assert (npu.service.stop() if when == "idle" else npu.service.popen.wait(35)) == 0
        calls = machine.calls()
        assert calls[-2:] == ["VLM.release", "VDevice.release"]
        assert calls.count("VLM.generate") == calls.count("LLMGeneratorCompletion.release")
