"""`hailo-ctl doctor` finds what is wrong, says what to do, and believes only what a service answers."""

from __future__ import annotations

import http.server
import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from hailo_common.cli import client
from hailo_common.cli.doctor.check import CheckResult, System
from hailo_common.cli.doctor.chip import check_device
from hailo_common.cli.doctor.files import check_models
from hailo_common.cli.doctor.machine import check_machine
from hailo_common.cli.doctor.memory import check_budgets
from hailo_common.cli.doctor.services import answer_of, check_api, check_units, golden_request
from hailo_common.config.paths import Paths
from tests.hailo_common.cli.conftest import Machine
from tests.hailo_florence.api.running import FAKE, Running, free_port, started


def patient(machine: Machine, **answers: str) -> System:
    """The machine, on which programs say this; the others are not installed."""

    def run(*command: str) -> str | None:
        return answers.get(command[0].replace("-", "_"))

    return System(Paths(root=machine.root, environ={}), ("hailo-florence",), run=run)


def lines(findings: Iterator[CheckResult]) -> list[str]:
    return [f"{each.state} {each.area}: {each.text}" for each in findings]


def test_a_healthy_machine(machine: Machine) -> None:
    machine.put("proc/meminfo", "MemTotal: 8000000 kB\nMemAvailable: 4000000 kB\n")
    machine.put("sys/class/thermal/thermal_zone0/temp", "51200\n")
    found = lines(check_machine(patient(machine, vcgencmd="throttled=0x50000\n", timedatectl="yes\n")))
    assert found[:3] == [
        "ok memory: 4.1 GB of 8.19 GB available",
        "ok temperature: 51 degrees Celsius",
        "ok power: voltage and frequency are normal",
    ]
    assert len(found) == 4


def test_a_machine_in_need(machine: Machine) -> None:
    machine.put("proc/meminfo", "MemTotal: 8000000 kB\nMemAvailable: 40000 kB\n")
    machine.put("sys/class/thermal/thermal_zone0/temp", "85000\n")
    findings = list(check_machine(patient(machine, vcgencmd="throttled=0x50005\n", timedatectl="no\n")))
    told = lines(iter(findings))
    assert "warn memory: 41 MB of 8.19 GB available" in told
    assert "fail temperature: 85 degrees Celsius, at which the processor is throttled" in told
    assert "fail power: the supply voltage is too low now" in told
    assert "warn clock: not synchronised" in told
    assert all(finding.remedy for finding in findings if finding.state in ("warn", "fail"))


def test_limits_that_the_kernel_does_not_enforce(machine: Machine) -> None:
    machine.put("sys/fs/cgroup/cgroup.controllers", "cpuset cpu io pids\n")
    [finding] = check_budgets(patient(machine))
    assert finding.state == "warn"
    assert "cgroup_enable=memory" in finding.remedy
    machine.put("sys/fs/cgroup/cgroup.controllers", "cpuset cpu io memory pids\n")
    assert list(check_budgets(patient(machine))) == []


def test_a_model_that_wants_more_memory_than_is_free(machine: Machine) -> None:
    """Only before it is loaded: then what it has is no longer free."""
    machine.put("etc/hailo/hailo-florence.yaml", "model: florence-2-base-ft-onnx\n")
    assert machine.ctl("config", "render", "hailo-florence").status == 0
    machine.put("proc/meminfo", "MemTotal: 8000000 kB\nMemAvailable: 300000 kB\n")

    def told(**answers: str) -> list[CheckResult]:
        return [each for each in check_models(patient(machine, **answers)) if "of memory" in each.text]

    [finding] = told()
    assert finding.text.startswith("florence-2-base-ft-onnx takes about ")
    assert finding.text.endswith(" of memory, and 307 MB are free")
    assert "hailo-ctl models list" in finding.remedy
    machine.put("proc/meminfo", "MemTotal: 8000000 kB\nMemAvailable: 4000000 kB\n")
    assert told() == []
    machine.put("proc/meminfo", "MemTotal: 8000000 kB\nMemAvailable: 300000 kB\n")
    machine.put("run/systemd/system/x", "")
    assert told(systemctl="LoadState=loaded\nActiveState=active\nUnitFileState=enabled\n") == []


@pytest.mark.parametrize(
    ("total_kb", "ollama", "expected"),
    [
        (8_050_000, "inactive", "ok memory limits: hailo-vision 4.29 GB, hailo-florence 3.22 GB: together"),
        (
            8_050_000,
            "active",
            "warn memory limits: hailo-vision 4.29 GB, hailo-florence 3.22 GB, hailo-ollama",
        ),
        (4_000_000, "inactive", "warn memory limits: hailo-vision 4.29 GB, hailo-florence 3.22 GB: together"),
    ],
)
def test_services_side_by_side_share_the_memory(
    machine: Machine, total_kb: int, ollama: str, expected: str
) -> None:
    machine.put("proc/meminfo", f"MemTotal: {total_kb} kB\n")
    machine.put("run/systemd/system/x", "")

    def run(*command: str) -> str:
        state = ollama if command[2] == "hailo-ollama.service" else "active"
        return f"LoadState=loaded\nActiveState={state}\nUnitFileState=enabled\n"

    services = ("hailo-vision", "hailo-florence")
    system = System(Paths(root=machine.root, environ={}), services, run=run)
    [finding] = check_budgets(system)
    assert lines(iter([finding]))[0].startswith(expected)
    assert finding.state == "ok" or "memory_max_mb" in finding.remedy


def device(machine: Machine, mode: int = 0o660, kind: str = "1", driver: str = "5.2.0") -> None:
    """Pretend files of a Hailo chip."""
    machine.put("dev/hailo0", "").chmod(mode)
    machine.put("sys/class/hailo_chardev/hailo0/accelerator_type", kind)
    machine.put("sys/class/hailo_chardev/hailo0/board_location", "0001:01:00.0")
    machine.put("sys/module/hailo1x_pci/version", driver)


def test_no_device_is_no_fault(machine: Machine) -> None:
    assert lines(check_device(patient(machine))) == [
        "ok device: no Hailo device here; the services use the CPU"
    ]


def test_a_device_without_driver(machine: Machine) -> None:
    machine.put("sys/bus/pci/devices/0001:01:00.0/vendor", "0x1e60\n")
    machine.put("sys/bus/pci/devices/0001:01:00.0/device", "0x45c4\n")
    [finding] = check_device(patient(machine))
    assert finding.state == "fail"
    assert "on the PCIe bus (0001:01:00.0), but no driver is loaded" in finding.text
    assert "apt install" in finding.remedy


@pytest.mark.parametrize(
    ("mode", "versions", "expected"),
    [
        (
            0o660,
            ("5.2.0", "Package: h10-hailort\nStatus: install ok installed\nVersion: 5.2.0-1\n"),
            "ok hailort: driver 5.2.0, Python library 5.2.0, h10-hailort 5.2.0",
        ),
        (0o660, ("5.1.1", ""), "fail hailort: versions differ: driver 5.2.0, Python library 5.1.1"),
        (0o660, ("", ""), "fail hailort: its Python library is not installed"),
        (
            0o666,
            ("5.2.0", ""),
            "ok permissions: /dev/hailo0 is open to every user of this machine, by the vendor's udev rule",
        ),
        (0o600, ("5.2.0", ""), "fail permissions: /dev/hailo0 is closed to its group"),
        (0o660, ("5.2.0", ""), "ok permissions: /dev/hailo0 is for its owner and its group"),
    ],
)
def test_devices(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, mode: int, versions: tuple[str, str], expected: str
) -> None:
    library, packages = versions
    device(machine, mode)
    machine.put("var/lib/dpkg/status", packages)
    monkeypatch.setattr("hailo_common.cli.doctor.chip.library_version", lambda folder: library)
    assert expected in lines(check_device(patient(machine)))


def test_a_hailo8_is_told(machine: Machine) -> None:
    device(machine, kind="0")
    assert "fail device: /dev/hailo0 is a Hailo-8, which HailoRT 5 does not drive" in lines(
        check_device(patient(machine))
    )


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        (
            "LoadState=loaded\nActiveState=active\nNRestarts=0\nStatusText=Ready: x\n",
            "ok hailo-florence: unit: active; Ready: x",
        ),
        (
            "LoadState=loaded\nActiveState=active\nNRestarts=3\nStatusText=Ready\n",
            "warn hailo-florence: unit: active; Ready; restarted 3 times",
        ),
        (
            "LoadState=loaded\nActiveState=failed\nResult=exit-code\nExecMainStatus=78\n",
            "fail hailo-florence: unit: failed: exit-code, status 78"
            " (a configuration or a model that cannot be used)",
        ),
        (
            "LoadState=not-found\nActiveState=inactive\n",
            "fail hailo-florence: unit: hailo-florence.socket is not installed",
        ),
    ],
)
def test_units(machine: Machine, shown: str, expected: str) -> None:
    machine.put("run/systemd/system/x", "")
    assert expected in lines(check_units(patient(machine, systemctl=shown)))


def test_without_systemd(machine: Machine) -> None:
    assert lines(check_units(patient(machine))) == [
        "unseen systemd: systemd does not run here, or does not answer"
    ]


@pytest.fixture(scope="module")
def florence() -> Iterator[Running]:
    """The real service on its demo model."""
    with started() as running:
        yield running


def configured(machine: Machine, port: int) -> None:
    machine.put("etc/hailo/hailo-florence.yaml", f"port: {port}\nmodel: shapes\n")
    demo = Path(__file__).parents[3] / "hailo_florence/demo_model/config.json"
    machine.put("usr/share/hailo-demo-models/florence-2/config.json", demo.read_bytes())
    assert machine.ctl("config", "render", "hailo-florence").status == 0


def test_a_whole_examination_with_a_real_service(machine: Machine, florence: Running) -> None:
    configured(machine, florence.port)
    done = machine.ctl("doctor", "hailo-florence", "--json", "--live")
    report = done.json()
    assert (done.status, report["failed"]) == (0, 0), report
    told = {finding["area"]: finding for finding in report["findings"]}
    api = [each["text"] for each in report["findings"] if each["area"] == "hailo-florence: API"]
    assert api[0].startswith("healthy, ")
    assert "red circle" in api[1].partition(" is ")[2]
    assert api[2].startswith("/metrics counts requests: ")
    assert told["hailo-florence: configuration"]["state"] == "ok"
    assert told["hailo-florence: model"] == {
        "area": "hailo-florence: model",
        "state": "warn",
        "text": "runs on the demo model",
        "remedy": "it knows coloured shapes only; for any image: hailo-ctl models fetch",
    }
    text = machine.ctl("doctor", "hailo-florence", "--live")
    assert text.status == 0
    assert "\nWARN  hailo-florence: model: runs on the demo model\n      -> it knows" in text.out


def test_status_of_a_real_service(machine: Machine, florence: Running) -> None:
    configured(machine, florence.port)
    [row] = [
        row
        for row in machine.ctl("status", "--json").json()["services"]
        if row["service"] == "hailo-florence"
    ]
    assert (row["health"], row["queue"]) == ("healthy", "0 running, 0 waiting")
    assert "healthy" in machine.ctl("status").out


def test_the_exit_status_of_status_is_true(machine: Machine, florence: Running) -> None:
    configured(machine, florence.port)
    assert machine.ctl("status", "hailo-florence").status == 0
    assert machine.ctl("status", "hailo-florence", "--json").status == 0
    configured(machine, free_port())
    assert machine.ctl("status", "hailo-florence").status == 1
    assert machine.ctl("status", "hailo-florence", "--json").status == 1
    assert "is not a service" in machine.ctl("status", "hailo-fish").err


def test_the_exit_status_of_an_unhealthy_service(machine: Machine) -> None:
    with started(FAKE, "--options", '{"load_error": "missing"}', ready=False) as running:
        running.until(lambda: running.health()["status"] == "unhealthy")
        configured(machine, running.port)
        done = machine.ctl("status", "hailo-florence")
    assert done.status == 1
    assert "unhealthy" in done.out


def test_nobody_listens(machine: Machine) -> None:
    configured(machine, free_port())
    done = machine.ctl("doctor", "hailo-florence", "--live")
    assert done.status == 1
    assert "FAIL  hailo-florence: API: 127.0.0.1:" in done.out
    assert "Connection refused\n      -> systemctl status hailo-florence.socket" in done.out


class Stranger(http.server.BaseHTTPRequestHandler):
    """Another program's answers."""

    def log_message(self, format: str, *args: object) -> None:
        """Silence."""


def test_another_program_listens(machine: Machine) -> None:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Stranger)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        configured(machine, server.server_address[1])
        assert "another program answers there" in machine.ctl("doctor", "hailo-florence", "--live").out
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_who_listens_and_says_nothing_is_not_waited_for_for_ever(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hailo_common.cli.client.Client.get.__defaults__", (0.5,))
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        configured(machine, silent.getsockname()[1])
        assert "did not answer within 0.5 s" in machine.ctl("doctor", "hailo-florence", "--live").out


def test_without_the_api_no_service_is_asked(
    machine: Machine, florence: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    def asked(*_words: object, **_named: object) -> None:
        raise AssertionError("a service was asked")

    configured(machine, florence.port)
    monkeypatch.setattr(client.Client, "get", asked)
    monkeypatch.setattr(client.Client, "post", asked)
    areas = {
        each["area"] for each in machine.ctl("doctor", "--no-api", "--live", "--json").json()["findings"]
    }
    assert "hailo-florence: configuration" in areas
    assert "hailo-florence: API" not in areas


def test_beside_a_checkout_it_says_once_that_no_package_is_installed(machine: Machine) -> None:
    done = machine.ctl("doctor", "--no-api")
    assert done.out.count("no package is installed here") == 1
    assert "FAIL" not in done.out
    assert "json is missing" in machine.ctl("doctor", "hailo-vision", "--no-api").out
    machine.put("usr/lib/systemd/system/hailo-vision.socket", "")
    told = machine.ctl("doctor", "--no-api").out
    assert "no package is installed here" not in told
    assert "json is missing" in told


def test_what_is_wrong_with_files_is_told_with_a_remedy(machine: Machine) -> None:
    machine.put("etc/hailo/hailo-florence.yaml", "prot: 1\n")
    report = machine.ctl("doctor", "hailo-florence", "--no-api", "--json").json()
    [finding] = [each for each in report["findings"] if each["area"] == "hailo-florence: configuration"]
    assert finding["state"] == "fail"
    assert finding["text"].endswith(':1: prot: unknown key; did you mean "port"?')
    assert finding["remedy"] == "correct the file, then: hailo-ctl config check hailo-florence"
    configured(machine, 4711)
    machine.put("etc/hailo/hailo-florence.yaml", "port: 4712\nmodel: florence-3\n")
    told = json.dumps(machine.ctl("doctor", "hailo-florence", "--no-api", "--json").json())
    assert "was changed since the last start" in told
    assert "no model is called 'florence-3'" in told


@pytest.mark.parametrize("service", ["hailo-florence", "hailo-vision"])
def test_the_golden_question_fits_the_service(service: str) -> None:
    path, body = golden_request(service)
    assert path.startswith("/v1/")
    assert "data:image/png" in json.dumps(body)
    assert answer_of({"caption": " A red circle. "}) == "A red circle."
    assert answer_of({"results": [{"analysis": "A red circle."}]}) == "A red circle."
    assert answer_of({"results": []}) == ""


@pytest.fixture
def several(machine: Machine) -> Iterator[Running]:
    """hailo-vision with two models, of which one cannot be loaded, as the machine is configured."""
    demo = Path(__file__).parents[3] / "hailo_vision/demo_model"
    models = f"backend: cpu\nmodels: [eye={demo}, qwen2-vl-2b-instruct-onnx, demo]\n"
    with started(("hailo_vision", "--config", str(machine.put("service.yaml", models)))) as running:
        machine.put("etc/hailo/hailo-vision.yaml", f"port: {running.port}\n{models}")
        assert machine.ctl("config", "render", "hailo-vision").status == 0
        yield running


def test_status_and_list_tell_the_state_of_several_models(machine: Machine, several: Running) -> None:
    missing = {"model": "qwen2-vl-2b-instruct-onnx", "messages": [{"role": "user", "content": "?"}]}
    assert several.client.post("/v1/chat/completions", json=missing).status_code == 503
    text = machine.ctl("status").out
    assert "hailo-vision: eye: loaded, " in text
    assert "hailo-vision: qwen2-vl-2b-instruct-onnx: failed; 0 running, 0 waiting" in text
    assert "hailo-vision: demo: not loaded; 0 running" in text
    assert "qwen2-vl-2b-instruct-onnx is not here yet; to fetch it: hailo-ctl models fetch" in text
    rows = {row["service"]: row for row in machine.ctl("status", "--json").json()["services"]}
    assert [each["name"] for each in rows["hailo-vision"]["models"]] == [
        "eye",
        "qwen2-vl-2b-instruct-onnx",
        "demo",
    ]
    shown = machine.ctl("models", "list").out.splitlines()
    [listed] = [line for line in shown if line.startswith("qwen2-vl-2b-instruct-onnx  ")]
    assert listed.endswith("absent, wanted, failed")
    told = lines(check_api(System(Paths(root=machine.root, environ={}), ("hailo-vision",))))
    assert told[0].startswith("warn hailo-vision: API: degraded: qwen2-vl-2b-instruct-onnx: ")
    used = [line for line in lines(check_models(patient_vision(machine))) if "hailo-vision: model" in line]
    assert [line.partition(" ")[0] for line in used] == ["ok", "fail", "warn"]


def patient_vision(machine: Machine) -> System:
    """The machine with hailo-vision alone."""
    return System(Paths(root=machine.root, environ={}), ("hailo-vision",))
