"""Opening the chip: who gets it, and which status everyone else sees."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager

from tests.hailo_sim.conftest import Make
from tests.hailo_sim.running import run, start
from tests.npu import ADDRESS, Fault, Machine

OTHER = "0002:01:00.0"


@contextmanager
def holding(machine: Machine, body: str) -> Iterator[subprocess.Popen[str]]:
    """A program that has done `body` and waits until the end of the block."""
    with start(machine, body + "\nsay(0)\nsys.stdin.readline()\n") as process:
        try:
            assert process.stdout
            process.stdout.readline()
            yield process
        finally:
            process.kill()


def test_a_machine_without_a_chip(machines: Make) -> None:
    body = "say([hp.Device.scan(), refused(vdevice), refused(hp.Device), refused(lambda: hp.Device('0'))])"
    ((found, opening, device, named),) = run(machines(devices=()), body)
    assert found == []
    assert opening[0][0] == "HailoRTException"
    assert opening[1] == "libhailort failed with error: 74 (HAILO_OUT_OF_PHYSICAL_DEVICES)"
    assert device == [["HailoRTException", *device[0][1:]], "HailoRT device not found in the system"]
    assert named[0][0] == "HailoRTStatusException"  # not wrapped


def test_the_group_decides_who_shares_the_chip(machine: Machine) -> None:
    body = f"""
say(refused(lambda: vdevice("SHARED").release()))
say(refused(lambda: vdevice("OTHER")))
say(refused(lambda: vdevice("UNIQUE")))
say(refused(lambda: vdevice("OTHER", device_ids=[{ADDRESS!r}])))
say(hp.Device.scan())
hp.Device().release()
"""
    with holding(machine, "held = vdevice('SHARED')") as owner:
        same, other, unique, named, found = run(machine, body)
        assert same is None
        assert "74" in other[1]
        assert "74" in unique[1]
        assert "73" in named[1]
        assert found == [ADDRESS], "the chip is listed while it is in use"
        owner.send_signal(signal.SIGKILL)
        owner.wait()
        assert run(machine, "say(refused(lambda: vdevice('UNIQUE').release()))") == [None]


def test_a_second_exclusive_vdevice_of_one_process_is_refused_until_the_first_is_released(
    machine: Machine,
) -> None:
    body = """
first = hp.VDevice()
say(refused(hp.VDevice))
first.release()
first.release()
say(refused(lambda: hp.VDevice().release()))
say(refused(lambda: first.create_infer_model("x")))
"""
    second, third, late = run(machine, body)
    assert "74" in second[1]
    assert third is None
    assert late[0][0] == "AttributeError"


def test_parameters_that_the_chip_refuses(machine: Machine) -> None:
    body = f"""
say(refused(lambda: vdevice(device_count=0)))
say(refused(lambda: vdevice(device_count=2)))
say(refused(lambda: vdevice(multi_process_service=True)))
say(refused(lambda: vdevice(device_ids=["0009:01:00.0"])))
say(refused(lambda: hp.VDevice(hp.VDevice.create_params(), device_ids=[{ADDRESS!r}]).release()))
both = hp.VDevice.create_params()
both.device_ids = [{ADDRESS!r}]
say(refused(lambda: hp.VDevice(both, device_ids=[{ADDRESS!r}])))
say(refused(lambda: vdevice(scheduler="x")))
say(refused(lambda: vdevice(group=1)))
say(refused(lambda: vdevice(device_ids=({ADDRESS!r},))))
"""
    none, two, service, unknown, keyword, both, name, group, ids = run(machine, body)
    assert none[0][0] == unknown[0][0] == "HailoRTInvalidArgumentException"
    assert "74" in two[1]
    assert service[0][0] == both[0][0] == "HailoRTInvalidOperationException"
    assert keyword is None
    assert [each[0][0] for each in (name, group, ids)] == ["AttributeError", "TypeError", "TypeError"]


def test_ids_by_keyword_forget_the_group(machine: Machine) -> None:
    body = f"""
params = hp.VDevice.create_params()
params.group_id = "SHARED"
held = hp.VDevice(params, device_ids=[{ADDRESS!r}])
say(refused(lambda: vdevice("SHARED")))
"""
    assert "74" in run(machine, body)[0][1], "the first one is exclusive: its group was lost"


def test_node_driver_and_kind_of_chip(machines: Make, version: str) -> None:
    open_one = "say(refused(vdevice))"
    machine = machines()
    machine.nodes[0].unlink()
    assert run(machine, open_one)[0][0][0] == "HailoRTDriverOperationFailedException"
    assert "76" in run(machines(driver="5.0.0"), open_one)[0][1]
    mixed = machines()
    mixed.add_hailo8(OTHER)
    chosen = f"say(refused(lambda: vdevice(device_ids=[{ADDRESS!r}]).release()))"
    both, one = run(mixed, open_one + "\n" + chosen)
    seen = version in ("5.1.1", "5.2.0")
    assert (both and both[0][0]) == ("HailoRTInvalidArgumentException" if seen else None)
    assert one is None


def test_a_hailo_8_is_no_device_for_this_library(machines: Make, version: str) -> None:
    """Up to 5.2 its class is looked at, from 5.3 it is not even seen."""
    found, opening = run(machines(accelerator=0), "say(hp.Device.scan())\nsay(refused(vdevice))")
    assert found == ([ADDRESS] if version in ("5.1.1", "5.2.0") else [])
    assert opening[0][0] == "HailoRTException"


def test_an_attribute_that_ends_with_a_newline_is_none(machine: Machine, version: str) -> None:
    """The library reads one line, which must end with the file."""
    name = (
        "hailo_chardev/hailo0/board_location" if version in ("5.1.1", "5.2.0") else "hailo1x/h1x-0/device_id"
    )
    (machine.sysroot / "sys/class" / name).write_text(f"{ADDRESS}\n")
    assert run(machine, "say(refused(hp.Device.scan))")[0][1] == "85"


def test_an_exclusive_vdevice_waits_for_the_other_to_go(machines: Make) -> None:
    """5 s on the real chip."""
    machine = machines(speed={"busy_wait_s": 20.0})
    with holding(machine, "held = vdevice('SHARED')") as owner:
        body = (
            "say(0)\nbegan = time.monotonic()\nsay(refused(lambda: vdevice('UNIQUE').release()))\n"
            "say(time.monotonic() - began)"
        )
        with start(machine, body) as waiting:
            assert waiting.stdout
            waiting.stdout.readline()
            time.sleep(0.7)
            owner.kill()
            owner.wait()
            told, seconds = (json.loads(line) for line in waiting.stdout)
        assert told is None
        assert 0.3 < seconds < 20


def test_a_chip_that_hangs_is_refused_until_its_power_was_removed(machine: Machine) -> None:
    machine.inject(Fault("Device", "wedge"))
    first, second = run(machine, "say(refused(hp.Device))\nsay(refused(vdevice))")
    assert first[1] == "62"
    assert second[0][0] == "HailoRTDriverOperationFailedException"
    machine.heal()
    assert run(machine, "say(refused(vdevice))")[0] is not None, "as after a reboot"
    machine.remove_power()
    assert run(machine, "say(refused(vdevice))") == [None]


def test_who_has_the_chip_shows_in_its_node(machine: Machine) -> None:
    body = """
held = vdevice()
say([os.readlink(f"/proc/self/fd/{name}") for name in os.listdir("/proc/self/fd")
     if os.path.exists(f"/proc/self/fd/{name}")])
"""
    assert str(machine.nodes[0]) in run(machine, body)[0]


def test_what_the_chip_can_be_asked_without_a_vdevice(machine: Machine, version: str) -> None:
    body = """
other = vdevice("OTHER")
with hp.Device() as device:
    seen = device.control.identify()
    kind = seen.device_architecture
    say([kind.name, int(kind), seen.firmware_version, seen.serial_number])
    heat = device.control.get_chip_temperature()
    say([heat.ts0_temperature, heat.ts1_temperature, heat.sample_count])
    say(refused(device.control.core_identify))
say(refused(device.control.identify))
"""
    identity, heat, missing, released = run(machine, body)
    assert identity == ["HAILO10H", 6, version, "<N/A>"]
    assert 0 < heat[0] < 100
    assert "7 (HAILO_NOT_IMPLEMENTED)" in missing[1]
    assert released[0][0] == "HailoRTInvalidOperationException"


def test_a_forked_process_cannot_make_models(machine: Machine) -> None:
    body = """
held = vdevice()
if os.fork() == 0:
    say(refused(lambda: held.create_infer_model("x")))
    os._exit(0)
os.wait()
"""
    assert "process VDevice was created in" in run(machine, body)[0][1]


def test_a_program_that_died_is_noticed_after_a_while(machines: Make) -> None:
    machine = machines(speed={"linger_s": 1.5, "busy_wait_s": 0.1})
    with holding(machine, "held = vdevice('SHARED')") as owner:
        owner.kill()
        owner.wait()
        body = """
say(refused(lambda: vdevice("SHARED"))[1])
say(refused(lambda: vdevice("UNIQUE"))[1])
time.sleep(1.6)
say(refused(lambda: vdevice("UNIQUE").release()))
"""
        same, alone, later = run(machine, body)
        assert "74" in same
        assert "74" in alone
        assert later is None


def test_the_library_writes_its_log_where_it_is_told(machine: Machine) -> None:
    run(machine, "")
    home = machine.sysroot.parent
    assert (machine.state / "hailort.log").exists()
    assert (home / ".hailo" / "hailort" / "hailort.log").exists()
    machine.environ["HAILORT_LOGGER_PATH"] = "NONE"
    (machine.state / "hailort.log").unlink()
    run(machine, "")
    assert not (machine.state / "hailort.log").exists()
