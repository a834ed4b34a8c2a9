"""The language model: what `generate` checks, what an answer consists of, and what stays behind."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.npu import Fault, Machine
from tests.sim.conftest import Make
from tests.sim.running import run, start

START = """
held = vdevice()
vlm = VLM(held, {hef!r})
frame = np.full((128, 128, 3), 200, np.uint8)
y, x = np.mgrid[:128, :128]
frame[(y - 64) ** 2 + (x - 64) ** 2 < 900] = (220, 20, 30)
def ask(text="Describe the image.", pictures=1, role="user"):
    parts = [{{"type": "image"}}] * pictures + [{{"type": "text", "text": text}}]
    return [{{"role": role, "content": parts}}]
def answer(prompt, frames, **how):
    how.setdefault("max_generated_tokens", 40)
    with vlm.generate(prompt, frames, **how) as made:
        return [list(made), made.generation_status.name]
"""
END = "<|im_end|>"


@pytest.fixture
def loaded(vision_hef: Path) -> str:
    """The beginning of a program that has loaded the model and drawn a red circle."""
    return START.format(hef=str(vision_hef))


def test_an_answer_and_what_it_leaves_in_the_context(machine: Machine, loaded: str) -> None:
    body = """
say([vlm.input_frame_shape(), str(vlm.input_frame_format_type()), vlm.input_frame_size(),
     vlm.input_frame_format_order().name, vlm.max_context_capacity(), vlm.get_stop_tokens()])
say(vlm.get_context_usage_size())
say(answer(ask(), [frame]))
say(vlm.get_context_usage_size())
say(len(vlm.tokenize("<|im_start|>system\\nYou are a helpful assistant.<|im_end|>\\n"
    "<|im_start|>user\\n<|vision_start|><|image_pad|><|vision_end|>Describe the image.<|im_end|>\\n"
    "<|im_start|>assistant\\n")))
say(answer(ask("What colour is the circle?", 0), []))
vlm.clear_context()
say(vlm.get_context_usage_size())
say(answer(ask(), [frame]))
"""
    about, empty, (chunks, status), used, prompt, (follow_up, _), cleared, again = run(machine, loaded + body)
    assert about == [[128, 128, 3], "uint8", 49152, "NHWC", 2048, [END, "<|endoftext|>"]]
    assert empty == cleared == 0
    assert "".join(chunks) == f"A red circle.{END}"
    assert status == "LOGICAL_END_OF_GENERATION"
    assert used == prompt + 63 + len(chunks), "the last token waits to be read, a picture takes 64"
    assert "red" in "".join(follow_up), "it remembers the picture"
    assert again == [chunks, status]


def test_a_cut_answer_is_followed_by_the_recovery_sequence(machine: Machine, loaded: str) -> None:
    body = """
say(answer(ask(), [frame], max_generated_tokens=2))
vlm.clear_context()
say(answer(ask(), [frame], max_generated_tokens=5))
vlm.clear_context()
vlm.set_generation_recovery_sequence("")
say([vlm.get_generation_recovery_sequence(), answer(ask(), [frame], max_generated_tokens=2)])
vlm.clear_context()
vlm.set_stop_tokens([" red"])
say([vlm.get_stop_tokens(), answer(ask(), [frame])])
vlm.clear_context()
vlm.set_stop_tokens([])
say(answer(ask(), [frame], max_generated_tokens=9)[1])
"""
    cut, on_the_limit, (none, bare), (stops, stopped), endless = run(machine, loaded + body)
    assert cut == [["A", " red", END], "MAX_TOKENS_REACHED"]
    assert on_the_limit == [["A", " red", " circle", ".", END, END], "MAX_TOKENS_REACHED"]
    assert none == ""
    assert bare == [["A", " red"], "MAX_TOKENS_REACHED"]
    assert stops == [" red"]
    assert stopped == [["A", " red"], "LOGICAL_END_OF_GENERATION"]
    assert endless == "MAX_TOKENS_REACHED"


def test_reading_past_the_end_and_all_at_once(machine: Machine, loaded: str) -> None:
    body = """
made = vlm.generate(ask(), [frame])
say(made.read_all())
say([made.generation_status.name, refused(made.read)[0][0], refused(lambda: next(made))[0][0]])
say(refused(lambda: made.read(-1))[0][0])
made.release()
made.release()
say(refused(lambda: made.generation_status)[0][0])
vlm.release()
vlm.release()
say(refused(vlm.clear_context)[0][0])
"""
    text, (status, late, end), negative, released, gone = run(machine, loaded + body)
    assert text == f"A red circle.{END}"
    assert status == "LOGICAL_END_OF_GENERATION"
    assert late == "HailoRTInvalidOperationException"
    assert end == "StopIteration"
    assert negative == "TypeError"
    assert released == gone == "AttributeError"


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
    assert "".join(anew) == f"A red circle.{END}"


def test_frames_of_another_size_and_too_many_of_them(machine: Machine, loaded: str, version: str) -> None:
    body = """
say(refused(lambda: vlm.generate(ask(), [np.zeros((64, 64, 3), np.uint8)]))[0][0])
vlm.release()
vlm = VLM(held, {hef})
six = refused(lambda: vlm.generate(ask("?", 6), [frame] * 6, max_generated_tokens=1).release())
say(six[0][0] if six else "None")
"""
    hef = loaded.partition("VLM(held, ")[2].partition(")")[0]
    size, six = run(machine, loaded + body.replace("{hef}", hef))
    old = version == "5.1.1"
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


def test_sampling_is_seeded_and_greedy_by_default(machine: Machine, loaded: str) -> None:
    body = """
def drawn(**how):
    made = answer(ask("Tell me something.", 0), [], max_generated_tokens=12, **how)[0]
    vlm.clear_context()
    return made
free = {"do_sample": True, "temperature": 5.0, "top_p": 1.0, "top_k": 100}
say([drawn(), drawn(do_sample=True), drawn(**free, seed=1), drawn(**free, seed=1), drawn(**free, seed=2)])
say(drawn(frequency_penalty=1.5) != drawn(frequency_penalty=1.0))
"""
    (greedy, one_candidate, first, same, other), _ = run(machine, loaded + body)
    assert greedy == one_candidate, "top_k is 1 unless it is set"
    assert first == same
    assert first != other


def test_a_slow_chip_and_an_early_release(machines: Make, loaded: str) -> None:
    machine = machines(speed={"prefill_s": 0.6, "token_s": 0.3})
    body = """
made = vlm.generate(ask(), [frame])
say(refused(lambda: made.read(50))[0][0])
first = made.read(10000)
say([first, made.generation_status.name])
before = time.monotonic()
made.release()
say(time.monotonic() - before)
say(vlm.get_context_usage_size() > 64)
vlm.clear_context()
say(answer(ask(), [frame])[0])
"""
    timeout, (first, status), waited, dirty, again = run(machine, loaded + body)
    assert timeout == "HailoRTTimeout"
    assert [first, status] == ["A", "GENERATING"]
    assert waited > 0.1, "the token in flight is waited for"
    assert dirty
    assert "".join(again) == f"A red circle.{END}"


def test_failures_on_the_chip_lose_their_status(machine: Machine, loaded: str) -> None:
    machine.inject(
        Fault("prefill", "status", status=71),
        Fault("token", "status", status=4),
        Fault("token", "lost", at=6),
    )
    body = """
for frames in ([frame], [], []):
    made = vlm.generate(ask("Hello", len(frames)), frames)
    seen = []
    error = refused(lambda: seen.extend(iter(lambda: made.read(), None)))
    say([len(seen), error[0][0], (refused(made.release) or [["None"]])[0][0]])
    vlm.frames = None
    if frames:
        vlm.release()
        vlm = VLM(held, %s)
    else:
        say((refused(vlm.clear_context) or [["None"]])[0][0])
say(refused(vlm.get_context_usage_size)[0][0])
vlm.release()
held.release()
"""
    hef = loaded.partition("VLM(held, ")[2].partition(")")[0]
    prefill, token, alive, lost, dead, later = run(machine, loaded + body % hef)
    kind = "HailoRTInvalidOperationException"
    assert prefill == [0, kind, "None"]
    assert token == [1, kind, "None"]
    assert alive == "None"
    assert lost[1] == kind
    assert dead == later == "HailoCommunicationClosedException"


def test_one_model_on_the_chip(machine: Machine, loaded: str, vision_hef: Path, version: str) -> None:
    if version == "5.1.1":
        pytest.skip("a second one corrupts the first there: see test_strict")
    with start(machine, loaded + "say(0)\nsys.stdin.readline()\n") as owner:
        assert owner.stdout
        owner.stdout.readline()
        body = f"held = vdevice()\nsay(refused(lambda: VLM(held, {str(vision_hef)!r})))"
        assert run(machine, body)[0] == [["HailoRTStatusException", *["HailoRTException"], *CHAIN], "62"]
        owner.kill()
        owner.wait()
        assert run(machine, body) == [None]


CHAIN = ["Exception", "BaseException", "object"]


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
    assert [each[1] for each in (empty, missing, kind, optimised, scheduler)] == ["6", "13", "6", "7", "79"]
    assert empty[0][0] == "HailoRTStatusException", "raw, not wrapped"
    assert wrong == "TypeError"
