"""Ordinary networks: buffers, formats, the queue, and the ways in which a failure shows or does not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from hailo_common.inference.model_dir import ModelDir
from hailo_common.inference.onnx import Graph
from tests.hailo_sim.conftest import Make
from tests.hailo_sim.make import FLORENCE, make_florence_folder
from tests.hailo_sim.running import VIOLATION, run
from tests.npu import Fault, Machine

MODEL = """
held = vdevice()
model = held.create_infer_model({hef!r})
for stream in model.inputs:
    stream.set_format_type(hp.FormatType.FLOAT32)
def arrays(streams, kind):
    return {{stream.name: np.zeros(stream.shape, kind) for stream in streams}}
def bind(configured, **changes):
    return configured.create_bindings(arrays(model.inputs, np.float32), arrays(model.outputs, np.uint16))
def infer(configured, bindings):
    seen = []
    job = configured.run_async([bindings], lambda completion_info: seen.append(completion_info.exception))
    job.wait(60000)
    return [type(error).__name__ for error in seen]
configured = model.configure()
"""


@pytest.fixture
def encoder(florence_folder: Path) -> str:
    """The beginning of a program that has configured the text encoder."""
    return MODEL.format(hef=str(florence_folder / "florence2_transformer_encoder.hef"))


def test_a_network_computes_what_its_graph_does(
    machine: Machine, florence_folder: Path, encoder: str, tmp_path: Path
) -> None:
    """Through quantisation there and back: within a few steps of it."""
    source = ModelDir(FLORENCE)
    words = np.load(florence_folder / "word_embedding.npy")
    rows = np.random.default_rng(3).normal(0, 0.5, (1, 73, words.shape[1])).astype(np.float32)
    np.save(tmp_path / "rows.npy", rows)
    body = f"""
rows = np.load({str(tmp_path / "rows.npy")!r})
bindings = bind(configured)
name = model.inputs[0].name
padded = np.zeros(model.inputs[0].shape, np.float32)
padded[0, :73] = rows[0]
bindings.input().set_buffer(padded)
say(infer(configured, bindings))
info = model.outputs[0].quant_infos[0]
made = (bindings.output().get_buffer().astype(np.float32) - info.qp_zp) * info.qp_scale
np.save({str(tmp_path / "made.npy")!r}, made)
say([model.inputs[0].shape, info.qp_scale])
"""
    failures, (shape, scale) = run(machine, encoder + body)
    assert failures == ["NoneType"]
    assert shape == [1, 73 + 16, words.shape[1]]
    graph = Graph(source.onnx("encoder_model"), 1)
    feeds: dict[str, NDArray[Any]] = {"inputs_embeds": rows, "attention_mask": np.ones((1, 73), np.int64)}
    (expected,) = graph.run(["last_hidden_state"], feeds)
    made = np.load(tmp_path / "made.npy")[:, :73]
    assert np.abs(made - expected).max() < 20 * scale


def test_formats_names_and_late_calls(machine: Machine, florence_folder: Path, encoder: str) -> None:
    decoder = str(florence_folder / "florence2_transformer_decoder.hef")
    body = f"""
two = held.create_infer_model({decoder!r})
say([two.input_names, two.output_names, two.output().shape, two.output().format.type.name])
say([refused(lambda: two.input())[0][0], refused(lambda: two.input("x"))[0][0]])
say(two.input("florence2_transformer_decoder/input_layer2").shape)
two.output().set_format_type(hp.FormatType.UINT8)
say(refused(two.configure)[0][0])
say(refused(lambda: held.create_infer_model({decoder!r}, "x"))[1])
say(refused(lambda: held.create_infer_model({decoder!r} + "x"))[1])
import pathlib
say(refused(lambda: held.create_infer_model(pathlib.Path({decoder!r})))[0][0])
with configured as inner:
    pass
say(refused(lambda: bind(inner))[0][0])
other = model.configure()
held.release()
say(refused(model.configure)[1])
say(refused(other.shutdown)[1])
"""
    names, ways, shape, kind, unnamed, missing, path, late, released, down = run(machine, encoder + body)
    assert names[0] == [
        "florence2_transformer_decoder/input_layer1",
        "florence2_transformer_decoder/input_layer2",
    ]
    assert names[2:] == [[32, 434], "UINT16"]
    assert ways == ["HailoRTInvalidOperationException", "HailoRTNotFoundException"]
    assert shape == [1, 32, 128]
    assert kind == "HailoRTInvalidArgumentException"
    assert "7 (" in unnamed
    assert "13 (" in missing
    assert path == "TypeError"
    assert late == "AttributeError"
    assert "8 (" in released
    assert "8 (" in down


def test_hefs_that_are_refused(machine: Machine, tmp_path: Path, florence_folder: Path) -> None:
    other = make_florence_folder(tmp_path / "hailo8", architecture="hailo8")
    hef = florence_folder / "florence2_transformer_encoder.hef"
    (tmp_path / "short.hef").write_bytes(b"HEF?")
    (tmp_path / "junk.hef").write_bytes(b"no HEF at all, but long enough")
    (tmp_path / "cut.hef").write_bytes(hef.read_bytes()[:-1])
    body = f"""
held = vdevice()
refusing = lambda path: say(refused(lambda: held.create_infer_model(path)))
refusing({str(tmp_path / "short.hef")!r})
refusing({str(tmp_path / "junk.hef")!r})
refusing({str(tmp_path / "cut.hef")!r})
model = held.create_infer_model({str(other / hef.name)!r})
say(refused(model.configure))
"""
    short, junk, cut, foreign = run(machine, body)
    assert "14 (" in short[1]
    assert "92 (" in junk[1]
    assert "91 (" in cut[1]
    assert foreign[0][0] == "HailoRTHEFNotCompatibleWithDevice"


def test_buffers_that_are_refused_and_what_becomes_of_the_model(machine: Machine, encoder: str) -> None:
    body = """
bindings = bind(configured)
flat = np.zeros((4, 4), np.float32)
say(refused(lambda: bindings.input().set_buffer(flat.T[1:]))[1])
flat.flags.writeable = False
say(refused(lambda: bindings.input().set_buffer(flat))[0][0])
half = configured.create_bindings(arrays(model.inputs, np.float32))
say(refused(lambda: configured.run_async([half]))[0][0])
say(infer(configured, bindings))
half = configured.create_bindings(None, arrays(model.outputs, np.uint16))
say(refused(lambda: configured.run_async([half]))[0][0])
say(infer(configured, bindings))
second = model.configure()
other = bind(second)
other.input().set_buffer(np.zeros(3, np.float32))
say(refused(lambda: second.run_async([other]))[0][0])
say(infer(second, bindings))
"""
    layout, readonly, no_output, works, no_input, down, size, also_down = run(machine, encoder + body)
    assert layout == "Buffer must be C_CONTIGUOUS"
    assert readonly == "ValueError"
    assert no_output == "HailoRTInvalidOperationException"
    assert works == ["NoneType"], "a missing output is noticed before anything happens"
    assert no_input == "HailoRTNotFoundException"
    assert size == "HailoRTInvalidOperationException"
    assert down == also_down == ["HailoRTStreamAborted"], "the model is shut down"


def test_a_failed_inference_shows_in_the_callback_alone(machine: Machine, encoder: str) -> None:
    machine.inject(Fault("inference", "status", status=62, times=2))
    body = """
bindings = bind(configured)
bindings.output().get_buffer().fill(7)
configured.run([bindings], 60000)
say(int(bindings.output().get_buffer()[0, 0, 0]))
say(infer(configured, bindings))
say(infer(configured, bindings))
"""
    left, failed, after = run(machine, encoder + body)
    assert left != 7, "the buffer is filled with whatever there was"
    assert failed == ["HailoCommunicationClosedException"]
    assert after == ["NoneType"]


def test_waits_time_out_and_the_job_goes_on(machines: Make, encoder: str) -> None:
    machine = machines(speed={"infer_s": 0.7, "compute": False})
    body = """
bindings = bind(configured)
seen = []
job = configured.run_async([bindings], lambda completion_info: seen.append(completion_info.exception))
say(refused(lambda: job.wait(50))[0][0])
say(refused(lambda: configured.wait_for_async_ready(50, configured.get_async_queue_size()))[0][0])
job.wait(60000)
say([len(seen), refused(lambda: configured.wait_for_async_ready(1000))])
jobs = [configured.run_async([bindings]) for _ in range(configured.get_async_queue_size())]
say(refused(lambda: configured.run_async([bindings]))[1])
del configured
"""
    waited, ready, done, full = run(machine, encoder + body)
    assert waited == ready == "HailoRTTimeout"
    assert done == [1, None]
    assert "82 (" in full


MISUSES = {
    "a buffer of float64": "bindings.input().set_buffer(np.zeros((1, 89, 64), np.float64))\n",
    "a buffer of shape": "bindings.input().set_buffer(np.zeros((1, 128, 89), np.float32))\n",
    "callback of run_async raised": "callback = lambda completion_info: 1 / 0\n",
    "callback of run_async raised TypeError": "callback = lambda info: None\n",
}


@pytest.mark.parametrize("text", MISUSES)
def test_misuse_that_would_corrupt_or_crash_ends_the_process(
    version: str, tmp_path: Path, encoder: str, text: str
) -> None:
    machine = Machine(tmp_path / "machine", version=version)
    body = f"""
bindings = bind(configured)
callback = None
{MISUSES[text]}
configured.run_async([bindings], callback).wait(60000)
"""
    run(machine, encoder + body, VIOLATION)
    assert text in machine.violations()


def test_an_input_that_changes_while_it_is_read(version: str, tmp_path: Path, encoder: str) -> None:
    machine = Machine(tmp_path / "machine", version=version, speed={"infer_s": 0.5})
    body = """
bindings = bind(configured)
job = configured.run_async([bindings])
bindings.input().get_buffer().fill(1)
job.wait(60000)
"""
    run(machine, encoder + body, VIOLATION)
    assert "an input buffer was changed" in machine.violations()


def test_machines_report_violations(version: str, tmp_path: Path, encoder: str) -> None:
    body = "bindings = bind(configured)\nconfigured.run_async([bindings], lambda: None).wait(60000)"
    with (
        pytest.raises(AssertionError, match="callback"),
        Machine(tmp_path / "machine", version=version) as machine,
    ):
        run(machine, encoder + body, VIOLATION)
