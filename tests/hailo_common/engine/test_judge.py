"""Which ends of an engine are its files' fault, and which another try may mend."""

from __future__ import annotations

import asyncio

import pytest

from hailo_common.engine.judge import DAMAGED, MOST_CRASHES, DamagedFiles, LoadJudge
from hailo_common.engine.session import EngineGaveUpError
from hailo_common.engine.state import EngineState

OPTIONS = {"model_dir": "/models/toy"}
CRASH = ("the engine process ended: killed by SIGSEGV", "", "")
REFUSED = ("x.onnx: expected an ONNX model", "ModelError", "")


class Files:
    """Files that are damaged as a test says."""

    def __init__(self) -> None:
        self.bad: dict[str, str] = {}
        self.asked: list[bool] = []

    async def __call__(self, model_dir: str, *, thorough: bool) -> DamagedFiles | None:
        assert model_dir == "/models/toy"
        self.asked.append(thorough)
        return DamagedFiles(self.bad, "toy is damaged") if self.bad else None


def judged(judge: LoadJudge, end: tuple[str, str, str], *, loaded: bool = False) -> tuple[str, str, str]:
    return asyncio.run(judge.judge(end, OPTIONS, loaded=loaded))


@pytest.mark.parametrize("end", [CRASH, REFUSED, ("KeyError while loading", "KeyError", "")])
def test_a_failed_load_looks_at_all_files(end: tuple[str, str, str]) -> None:
    state, files = EngineState(), Files()
    judge = LoadJudge(state, files)
    assert judged(judge, end)[0] == end[0]
    files.bad = {"x.onnx": "x.onnx: bad"}
    assert judged(judge, end) == ("toy is damaged", "ModelMissing", DAMAGED)
    assert files.asked == [True, True]
    assert (state.damages, dict(state.damaged)) == (1, files.bad)
    files.bad = {"x.onnx": "x.onnx: it is missing", "y.json": "y.json: bad"}
    judged(judge, end)
    assert state.damages == 2


@pytest.mark.parametrize(
    "end", [("no chip", "DeviceLost", ""), ("config.json is missing", "ModelMissing", "")]
)
def test_what_no_file_causes_reads_none(end: tuple[str, str, str]) -> None:
    files = Files()
    assert judged(LoadJudge(EngineState(), files), end) == end
    assert judged(LoadJudge(EngineState(), files), CRASH, loaded=True) == CRASH
    assert files.asked == []


def test_whole_files_that_crash_again_and_again_are_given_up() -> None:
    judge = LoadJudge(EngineState(), None)
    for _ in range(MOST_CRASHES - 1):
        assert judged(judge, CRASH) == CRASH
    assert judged(judge, CRASH)[1] == "ModelError"
    judge.reset()
    assert judged(judge, CRASH) == CRASH


def test_damaged_files_are_not_given_up_however_often() -> None:
    files = Files()
    files.bad = {"x.onnx": "bad"}
    judge = LoadJudge(EngineState(), files)
    for _ in range(MOST_CRASHES + 2):
        assert judged(judge, CRASH)[1] == "ModelMissing"


def test_before_a_load_only_touched_files_are_read() -> None:
    state, files = EngineState(), Files()
    judge = LoadJudge(state, files)
    asyncio.run(judge.before(OPTIONS))
    files.bad = {"x.onnx": "bad"}
    with pytest.raises(EngineGaveUpError, match="toy is damaged") as caught:
        asyncio.run(judge.before(OPTIONS))
    assert (caught.value.kind, caught.value.code) == ("ModelMissing", DAMAGED)
    assert files.asked == [False, False]
    asyncio.run(LoadJudge(state, files).before({}))
