"""An exported folder holds every weight of the model, bit for bit."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import pytest

DATA = Path(__file__).parent.parent / "data"


@pytest.mark.oracle
@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("size", ["a", "b"])
@pytest.mark.parametrize(
    ("folder", "reader", "writer"),
    [
        ("florence", "scenes.checkpoint", "florence.random_model"),
        ("qwen", "chat.qwen_checkpoint", "chat.qwen_random"),
    ],
)
def test_weights_come_back(folder: str, reader: str, writer: str, size: str, tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    read_model = import_module(f"training.{reader}").load_model
    maker = import_module(f"training.{writer}")

    made = maker.write_random_model(tmp_path, maker.SIZES[size]).state_dict()
    read = read_model(tmp_path).state_dict()
    assert made.keys() == read.keys()
    assert all(torch.equal(made[name], read[name]) for name in made)
    again = read_model(DATA / f"{folder}-random-{size}").state_dict()
    assert all(torch.equal(made[name], again[name]) for name in made)
