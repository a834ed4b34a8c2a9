"""Stand-in HEFs of what `tools.hef_export` wrote, quantised by its own calibration set."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hailo_common.inference.onnx import Graph
from tests.hailo_sim.hef_file import ZOO, stream, write_hef
from tools.hef_export.folder import DECODER, ENCODER

Arrays = dict[str, NDArray[np.float32]]


def write_hefs(folder: Path) -> None:
    """Make `*.hef` beside `config.json` from `hailo/`, as the compiler would."""
    compiling = folder / "hailo"
    encoder = np.load(compiling / "encoder_calibration.npy")
    with np.load(compiling / "decoder_calibration.npz") as stored:
        decoder = {name: stored[name] for name in stored.files}
    _write(folder, ENCODER, ["inputs_embeds"], {f"{ENCODER}/input_layer1": encoder})
    _write(folder, DECODER, ["encoder_hidden_states", "inputs_embeds"], decoder)


def _write(folder: Path, name: str, inputs: list[str], seen: Arrays) -> None:
    path = folder / "hailo" / f"{name}.onnx"
    graph = Graph(path, 1)
    (output,) = graph.outputs
    runs = [
        graph.run([output], dict(zip(inputs, rows, strict=True)))[0]
        for rows in zip(*seen.values(), strict=True)
    ]
    out = f"{name}/output_layer1"
    about = {
        "kind": "infer",
        "architecture": "hailo10h",
        "zoo": ZOO,
        "graph": "graph",
        "streams": [
            *(_stream(layer, "input", values) for layer, values in seen.items()),
            _stream(out, "output", np.stack(runs)),
        ],
        "feeds": {tensor: {"stream": layer} for tensor, layer in zip(inputs, seen, strict=True)},
        "outputs": {out: output},
    }
    write_hef(folder / f"{name}.hef", about, {"graph": path.read_bytes()})


def _stream(name: str, direction: str, values: NDArray[np.float32]) -> dict[str, Any]:
    """A stream of 16 bits that covers half as much again as was seen, (n, 1, rows, width)."""
    limits = 1.5 * float(values.min()), 1.5 * float(values.max())
    return stream(name, direction, (1, values.shape[2], values.shape[3]), limits)
