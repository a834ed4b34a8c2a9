"""Whatever the files contain, the loader gives settings or a ConfigError, and JSON round-trips."""

from __future__ import annotations

import contextlib
import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from hailo_common.config.load import load_files
from hailo_common.config.render import rendered
from hailo_common.config.schema import shown
from hailo_common.errors import ConfigError
from tests.hailo_common.config.conftest import Toy

NAMES = st.sampled_from([key.name for key in Toy.table()] + ["prot", "", "a b", "<<", "*x", "&y z"])
PIECES = st.sampled_from(
    [
        *"\n:[]{},|>#?'\"\\ \t\ufeff\x85\u202eé~0",
        "port",
        "- ",
        "&a",
        "*a",
        "!!int",
        "---",
        "...",
        "1e9",
        "yes",
    ]
)
LINES = st.tuples(NAMES, st.text(max_size=20) | st.integers().map(str) | st.floats().map(str)).map(": ".join)
YAML = st.one_of(
    st.binary(max_size=200),
    st.text(max_size=200).map(lambda text: text.encode(errors="replace")),
    st.lists(PIECES, max_size=40).map(lambda pieces: "".join(pieces).encode(errors="replace")),
    st.lists(LINES, max_size=8).map(lambda lines: "\n".join(lines).encode(errors="replace")),
)


@settings(max_examples=400, deadline=None)
@given(content=YAML, suffix=st.sampled_from([".yaml", ".json"]))
def test_settings_or_config_error(content: bytes, suffix: str) -> None:
    with tempfile.TemporaryDirectory() as folder, contextlib.suppress(ConfigError):
        path = Path(folder) / f"x{suffix}"
        path.write_bytes(content)
        load_files(Toy, [path])


@settings(max_examples=150, deadline=None)
@given(
    port=st.integers(1, 65535),
    timeout=st.floats(1, 3600).map(lambda value: round(value, 6)),
    docs=st.booleans(),
    folder=st.text(max_size=40).map(lambda text: "/" + "".join(filter(str.isprintable, text))),
    hosts=st.lists(st.from_regex(r"[a-z][a-z0-9]{0,8}(\.[a-z]{1,5})?", fullmatch=True), max_size=5).map(
        tuple
    ),
)
def test_yaml_and_json_round_trip(
    port: int, timeout: float, docs: bool, folder: str, hosts: tuple[str, ...]
) -> None:
    wanted = Toy(port=port, load_timeout_s=timeout, docs=docs, model_dir=folder, allowed_hosts=hosts)
    with tempfile.TemporaryDirectory() as temporary:
        as_json, as_yaml = Path(temporary) / "x.json", Path(temporary) / "x.yaml"
        as_json.write_bytes(rendered(wanted))
        lines = [f"{key.name}: {shown(getattr(wanted, key.name))}" for key in Toy.table()]
        as_yaml.write_text("\n".join(lines), encoding="utf-8")
        assert load_files(Toy, [as_json]) == wanted
        assert load_files(Toy, [as_yaml]) == wanted
