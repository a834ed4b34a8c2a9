"""The language model: what it checks before an answer, what it does not, and who may have it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.hailo_sim.chat import CIRCLE
from tests.hailo_sim.make import make_vision_folder
from tests.hailo_sim.running import run, start
from tests.npu import Machine


def test_what_generate_refuses_before_the_chip_hears_of_it(machine: Machine, loaded: str) -> None:
    body = """
refusing = lambda *values, **how: say((refused(lambda: vlm.generate(*values, **how)) or [["None"]])[0][0])
refusing(tuple(ask()), [frame])
refusing(["text"], [frame])
refusing(ask(), (frame,))
refusing(ask(), [1])
refusing([{"role": "user", "content": {1, 2}}], [])
say("params")
for name, value in (("temperature", 0), ("top_p", 1.1), ("top_k", 0), ("frequency_penalty", 0)):
    refusing(ask(), [frame], **{name: value})
say("types")
for name, value in (("top_k", -1), ("seed", 0.5), ("do_sample", "x"), ("max_generated_tokens", 2**33)):
    refusing(ask(), [frame], **{name: value})
say("prompts")
refusing(None, [])
refusing("", [])
refusing([{"role": "user", "content": 5}], [])
readonly = frame.copy()
readonly.flags.writeable = False
refusing(ask(), [readonly])
"""
    said = run(machine, loaded + body)
    base = "HailoRTException"
    assert said[:5] == [base, base, base, base, "TypeError"]
    assert said[6:10] == ["HailoRTInvalidArgumentException"] * 4
    assert said[11:15] == ["TypeError"] * 4
    assert said[16:18] == ["HailoRTInvalidArgumentException"] * 2
    assert said[18] == "HailoRTException", "status 8 of the template"
    assert said[19] == "ValueError"


def test_positions_of_parameters_differ_between_versions(machine: Machine, loaded: str, version: str) -> None:
    body = """
say(refused(lambda: vlm.generate(ask(), [frame], 0.5).release()))
say(refused(lambda: vlm.generate(ask(), [frame], videos=[]).release()))
vlm.clear_context()
say((refused(lambda: vlm.generate(ask(), [frame], max_generated_tokens=0).release()) or [["None"]])[0][0])
"""
    positional, videos, none = run(machine, loaded + body)
    if version == "5.1.1":
        assert positional is None, "0.5 is the temperature"
        assert videos[0][0] == "TypeError"
        assert none == "HailoRTInvalidArgumentException"
    else:
        assert positional[0][0] == "HailoRTException", "0.5 stands where videos do"
        assert videos is None
        assert none == "None"


def test_a_later_turn_has_no_system_message(machine: Machine, loaded: str, version: str) -> None:
    body = """
say(answer([{"role": "system", "content": "Be brief."}, *ask()], [frame])[1])
say(refused(lambda: vlm.generate([{"role": "system", "content": "Be long."}, *ask("", 0)], []).release()))
vlm.clear_context()
say(refused(lambda: vlm.generate([{"role": "system", "content": "Be long."}, *ask("", 0)], []).release()))
"""
    first, late, fresh = run(machine, loaded + body)
    assert first == "LOGICAL_END_OF_GENERATION"
    assert (late is None) == (version == "5.1.1")
    assert fresh is None


POISON = """
made = vlm.generate(ask(), [])
say(refused(made.read)[0][0])
made.release()
made = vlm.generate(ask(), [frame, frame])
say(refused(made.read)[0][0])
say(refused(made.read)[0][0])
made.release()
vlm.clear_context()
made = vlm.generate(ask(), [frame])
say(refused(made.read)[0][0])
made.release()
vlm.release()
vlm = VLM(held, {hef!r})
say(answer(ask(), [frame])[0])
"""


def test_too_many_frames_poison_the_model_until_it_is_built_anew(
    machine: Machine, loaded: str, vision_hef: Path
) -> None:
    few, many, again, later, anew = run(machine, loaded + POISON.format(hef=str(vision_hef)))
    assert few == many == again == later == "HailoRTInvalidOperationException"
    assert "".join(anew) == CIRCLE


def test_frames_of_another_size_and_too_many_of_them(machine: Machine, loaded: str, version: str) -> None:
    body = """
say(refused(lambda: vlm.generate(ask(), [np.zeros((64, 64, 3), np.uint8)]))[0][0])
say([(refused(vlm.get_context_usage_size) or [["None"]])[0][0]])
vlm.release()
vlm = VLM(held, {hef})
six = refused(lambda: vlm.generate(ask("?", 6), [frame] * 6, max_generated_tokens=1).release())
say(six[0][0] if six else "None")
"""
    hef = loaded.partition("VLM(held, ")[2].partition(")")[0]
    size, later, six = run(machine, loaded + body.replace("{hef}", hef))
    old = version == "5.1.1"
    assert later == (["HailoCommunicationClosedException"] if old else ["None"])
    assert size == ("HailoRTInvalidArgumentException" if old else "HailoRTInvalidOperationException")
    assert six == ("HailoRTInvalidArgumentException" if old else "None")


def test_text_of_clients_can_spell_a_place_for_a_frame(machine: Machine, loaded: str) -> None:
    """The stack protects nobody from this; the service must."""
    body = """
made = vlm.generate([{"role": "user", "content": "What is <|image_pad|>?"}], [])
say(refused(made.read)[0][0])
made.release()
"""
    assert run(machine, loaded + body) == ["HailoRTInvalidOperationException"]


def test_one_model_on_the_chip(machine: Machine, loaded: str, vision_hef: Path, version: str) -> None:
    if version == "5.1.1":
        pytest.skip("a second one corrupts the first there: see test_strict")
    with start(machine, loaded + "say(0)\nsys.stdin.readline()\n") as owner:
        assert owner.stdout
        owner.stdout.readline()
        body = f"held = vdevice()\nsay(refused(lambda: VLM(held, {str(vision_hef)!r})))"
        status = "62" if version == "5.2.0" else "6"
        assert run(machine, body)[0] == [["HailoRTStatusException", *["HailoRTException"], *CHAIN], status]
        owner.kill()
        owner.wait()
        assert run(machine, body) == [None]


CHAIN = ["Exception", "BaseException", "object"]


def test_a_model_of_a_later_zoo_is_refused(machine: Machine, tmp_path: Path, version: str) -> None:
    folder = make_vision_folder(tmp_path / "vision", zoo="5.2.0")
    hef = str(next(folder.glob("*.hef")))
    body = f"held = vdevice()\nsay(refused(lambda: VLM(held, {hef!r}).release()))"
    (said,) = run(machine, body)
    assert (said is None) == (version != "5.1.1")
    assert said is None or said[1] == "26"


def test_files_that_are_no_whole_hef(machine: Machine, tmp_path: Path, vision_hef: Path) -> None:
    """The library's own status comes through `VLM()`, as through `create_infer_model`."""
    whole = vision_hef.read_bytes()
    for name, data in (("short", b"HEF?"), ("junk", b"no HEF at all, but long enough"), ("cut", whole[:-1])):
        (tmp_path / f"{name}.hef").write_bytes(data)
    body = f"""
held = vdevice()
for name in ("short", "junk", "cut"):
    say(refused(lambda: VLM(held, {str(tmp_path)!r} + "/" + name + ".hef"))[1])
"""
    assert run(machine, body) == ["14", "92", "91"]


def test_models_that_cannot_be_loaded(machine: Machine, vision_hef: Path, florence_folder: Path) -> None:
    other = florence_folder / "florence2_transformer_encoder.hef"
    body = f"""
held = vdevice()
refusing = lambda *how: say(refused(lambda: VLM(held, *how)))
refusing("")
refusing("/nowhere.hef")
refusing({str(other)!r})
refusing({str(vision_hef)!r}, True)
say(refused(lambda: VLM(held, 5))[0][0])
held.release()
params = hp.VDevice.create_params()
params.scheduling_algorithm = hp.HailoSchedulingAlgorithm.NONE
held = hp.VDevice(params)
refusing({str(vision_hef)!r})
"""
    empty, missing, kind, optimised, wrong, scheduler = run(machine, body)
    assert [each[1] for each in (empty, missing, kind, optimised, scheduler)] == ["6", "13", "26", "7", "79"]
    assert empty[0][0] == "HailoRTStatusException", "raw, not wrapped"
    assert wrong == "TypeError"
