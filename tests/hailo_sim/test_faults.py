"""Injected faults: counted over processes, at the call they name; and waits that hold Python's lock."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import pytest

from tests.hailo_sim.conftest import Make
from tests.hailo_sim.running import run, start
from tests.npu import Fault, Machine

TICKS = """
ticks = [time.monotonic()]
def tick():
    while True:
        ticks.append(time.monotonic())
        time.sleep(0.001)
threading.Thread(target=tick, daemon=True).start()
time.sleep(0.05)
"""
SCAN = "say(refused(hp.Device.scan))\n"


def test_a_status_is_raised_at_the_call_it_was_planned_for(machine: Machine) -> None:
    machine.inject(Fault("Device.scan", "status", status=85, at=2))
    first, second, third = run(machine, SCAN * 3)
    assert first is None
    assert second[0][0] == "HailoRTStatusException"
    assert second[1] == "85"
    assert third is None


def test_calls_are_counted_over_processes_from_the_injection_on(machine: Machine) -> None:
    run(machine, SCAN)
    machine.inject(Fault("Device.scan", "status", status=85, at=2, times=0))
    assert run(machine, SCAN) == [None]
    assert [found[1] for found in run(machine, SCAN * 2)] == ["85", "85"]
    machine.heal()
    assert run(machine, SCAN) == [None]


def test_a_plan_reaches_a_process_that_runs(machine: Machine) -> None:
    with start(machine, "say(1)\nsys.stdin.readline()\n" + SCAN) as process:
        assert process.stdin
        assert process.stdout
        process.stdout.readline()
        machine.inject(Fault("Device.scan", "status", status=85))
        process.stdin.write("\n")
        process.stdin.flush()
        assert '"85"' in process.stdout.readline()


def test_a_delay_holds_the_lock_unless_it_is_a_free_one(machine: Machine) -> None:
    machine.inject(
        Fault("Device.scan", "delay", seconds=0.5), Fault("Device.scan", "delay-free", seconds=0.5, at=2)
    )
    body = """
for _ in range(2):
    ticks.clear()
    began = time.monotonic()
    hp.Device.scan()
    seen = [began, *ticks, time.monotonic()]
    say([seen[-1] - began, max(b - a for a, b in zip(seen, seen[1:])), len(seen)])
"""
    (held, longest, _), (free, _, ticks) = run(machine, TICKS + body)
    assert held >= 0.5
    assert longest >= 0.45, "another thread ran while the lock was held"
    assert free >= 0.5
    assert ticks > 5


def test_a_hang_holds_the_lock_and_only_sigkill_ends_it(machine: Machine) -> None:
    machine.inject(Fault("Device.scan", "hang"))
    body = "import signal\nsignal.signal(signal.SIGTERM, lambda *_: os._exit(3))\nsay(1)\nhp.Device.scan()\n"
    with start(machine, TICKS + body) as process:
        assert process.stdout
        process.stdout.readline()
        time.sleep(0.5)
        process.terminate()
        time.sleep(0.5)
        assert process.poll() is None
        process.kill()
        assert process.wait(10) == -signal.SIGKILL


def test_a_process_can_die_without_a_word(machine: Machine) -> None:
    machine.inject(Fault("VDevice", "die"))
    assert run(machine, "vdevice()\nsay(1)", -signal.SIGKILL) == []


def test_an_import_can_fail(machine: Machine) -> None:
    machine.inject(Fault("import", "status", status=8))
    with pytest.raises(AssertionError, match="cannot open shared object file"):
        run(machine, "say(1)")


def test_a_lost_chip_never_comes_back_for_what_was_open(machine: Machine, florence_folder: Path) -> None:
    machine.inject(Fault("Control.get_chip_temperature", "lost"))
    hef = str(florence_folder / "florence2_transformer_encoder.hef")
    body = f"""
old = vdevice()
device = hp.Device()
for call in (device.control.get_chip_temperature,) * 2 + (lambda: old.create_infer_model({hef!r}),):
    say(refused(call))
say(hp.Device.scan())
old.release()
say(refused(vdevice))
"""
    first, second, third, found, again = run(machine, body)
    assert first[0][0] == second[0][0] == third[0][0] == "HailoCommunicationClosedException"
    assert found
    assert again is None


def test_a_lost_chip_can_be_away_for_a_while(machine: Machine) -> None:
    machine.inject(Fault("Device", "lost", seconds=1.0))
    body = """
say(refused(hp.Device))
say([hp.Device.scan(), refused(vdevice)])
time.sleep(1.1)
say([len(hp.Device.scan()), refused(vdevice)])
"""
    first, (found, opened), after = run(machine, body)
    assert first[1] == "62"
    assert found == []
    assert "74" in opened[1]
    assert after == [1, None]


@pytest.mark.parametrize("how", ["one.release()", "del one", "sys.exit()"])
def test_an_answer_of_a_lost_session_ends_the_process(machine: Machine, loaded: str, how: str) -> None:
    """Its destructor cannot abort it, leaves a thread joinable, and C++ terminates."""
    machine.inject(Fault("VLM.tokenize", "lost"))
    body = (
        f"one = vlm.generate(ask(), [frame])\none.read()\nrefused(lambda: vlm.tokenize('x'))\n{how}\nsay(1)"
    )
    assert run(machine, loaded + body, -signal.SIGABRT) == []


@pytest.fixture
def hefs(florence_folder: Path, vision_hef: Path) -> dict[str, str]:
    """A network and a language model."""
    return {"hef": str(florence_folder / "florence2_transformer_encoder.hef"), "vlm": str(vision_hef)}


@pytest.mark.parametrize(
    ("call", "limit", "body"),
    [
        ("VDevice", "request_s", "refused(vdevice)"),
        ("VDevice.create_infer_model", "configure_s", "refused(lambda: held.create_infer_model({hef!r}))"),
        ("VLM", "upload_s", "refused(lambda: VLM(held, {vlm!r}))"),
    ],
)
def test_a_lost_reply_costs_the_librarys_own_limit(
    machines: Make, hefs: dict[str, str], call: str, limit: str, body: str
) -> None:
    """10 s for most requests, 45 s for reading and configuring a network, 120 s for a model."""
    speed = {"request_s": 0.5, "configure_s": 1.0, "upload_s": 1.5}
    machine = machines(speed=speed, faults=[Fault(call, "unheard")])
    asked = body.format(**hefs)
    first = "" if call == "VDevice" else "held = vdevice()\n"
    program = f"{first}began = time.monotonic()\nsay({asked})\nsay(time.monotonic() - began)"
    told, seconds = run(machine, program)
    assert told[0][0] in ("HailoRTTimeout", "HailoRTStatusException")
    assert speed[limit] <= seconds < speed[limit] + 0.5


def test_destructors_write_failures_into_the_log(machine: Machine, loaded: str) -> None:
    calls = ("LLMGeneratorCompletion.release", "VLM.release", "VDevice.release")
    machine.inject(*(Fault(call, "status", status=62, times=0) for call in calls))
    assert run(machine, loaded + "say(answer(ask(), [frame])[1])\nvlm.release()\nheld.release()\nsay(2)") == [
        "LOGICAL_END_OF_GENERATION",
        2,
    ]


def test_every_call_is_logged_when_asked(machines: Make) -> None:
    machine = machines(log_calls=True)
    run(machine, "hp.Device.scan()\nvdevice().release()")
    assert machine.calls() == ["import", "Device.scan", "VDevice", "VDevice.release"]
