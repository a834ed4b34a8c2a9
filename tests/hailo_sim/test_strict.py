"""Misuse of the language model that the real stack answers with corruption, a crash or a dead chip."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.hailo_sim.chat import START
from tests.hailo_sim.running import VIOLATION, run, start
from tests.npu import Machine

MISUSES = {
    "generate while an answer is being generated": "one = generate()\ntwo = generate()",
    "clear_context while an answer is being generated": "one = generate()\nvlm.clear_context()",
    "a VLM was released before its completion": "one = generate()\nlist(one)\nvlm.release()",
    "a VDevice was released before its VLM": "held.release()",
    "made on a VDevice that was released": "vlm.release()\nheld.release()\nVLM(held, {hef!r})",
    "a frame of float32": "vlm.generate(ask(), [np.zeros((64, 64, 3), np.float32)])",
    "a frame of uint8, C-contiguous False": "vlm.generate(ask(), [frame.transpose(1, 0, 2)])",
    "a frame of shape (64, 256, 3)": "vlm.generate(ask(), [frame.reshape(64, 256, 3)])",
    "reads past its scores": "vlm.generate(ask(), [frame], do_sample=True, top_k=785)",
    "in a forked process": "os.fork() or refused(vlm.clear_context)\nos.wait()\nos._exit(86)",
    "a picture of an earlier request": (
        "one = vlm.generate(ask(), [frame, frame])\nrefused(one.read)\none.release()\n"
        "two = vlm.generate(ask('', 3), [frame])\ntwo.read()"
    ),
}


@pytest.mark.parametrize("text", MISUSES)
def test_misuse_ends_the_process_and_is_written_down(
    version: str, tmp_path: Path, vision_hef: Path, text: str
) -> None:
    machine = Machine(tmp_path / "machine", version=version)
    body = "generate = lambda: vlm.generate(ask(), [frame])\ntry:\n"
    body += "".join(f"    {line}\n" for line in MISUSES[text].format(hef=str(vision_hef)).splitlines())
    run(
        machine,
        START.format(hef=str(vision_hef)) + body + "except BaseException as error:\n    say(str(error))",
        VIOLATION,
    )
    assert text in machine.violations()


def test_a_second_model_is_not_guarded_against_in_the_older_version(tmp_path: Path, vision_hef: Path) -> None:
    machine = Machine(tmp_path / "machine", version="5.1.1")
    loading = START.format(hef=str(vision_hef))
    with start(machine, loading + "say(0)\nsys.stdin.readline()\n") as owner:
        try:
            assert owner.stdout
            owner.stdout.readline()
            run(machine, loading, VIOLATION)
        finally:
            owner.kill()
    assert "a second language model" in machine.violations()


def test_what_is_dropped_is_ended_as_by_a_destructor(version: str, tmp_path: Path, vision_hef: Path) -> None:
    body = """
one = vlm.generate(ask(), [frame])
one.read()
del one
vlm.clear_context()
say(answer(ask(), [frame])[1])
del vlm
held.release()
"""
    with Machine(tmp_path / "machine", version=version) as machine:
        assert run(machine, START.format(hef=str(vision_hef)) + body) == ["LOGICAL_END_OF_GENERATION"]
