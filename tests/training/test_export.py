"""An exported folder holds every weight of the model, bit for bit."""

from __future__ import annotations

from pathlib import Path

import pytest

DATA = Path(__file__).parent.parent / "data"


@pytest.mark.oracle
@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("size", ["a", "b"])
def test_weights_come_back(size: str, tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    from training.checkpoint import load_model  # noqa: PLC0415
    from training.random_model import SIZES, write_random_model  # noqa: PLC0415

    made = write_random_model(tmp_path, SIZES[size]).state_dict()
    read = load_model(tmp_path).state_dict()
    assert made.keys() == read.keys()
    assert all(torch.equal(made[name], read[name]) for name in made)
    again = load_model(DATA / f"florence-random-{size}").state_dict()
    assert all(torch.equal(made[name], again[name]) for name in made)
