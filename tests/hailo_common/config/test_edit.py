"""The editor changes the values it is told to and no other byte."""

from __future__ import annotations

import threading

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hailo_common.config.edit import Editor, raw_value
from hailo_common.config.load import load
from hailo_common.config.schema import Raw
from hailo_common.errors import ConfigError
from tests.hailo_common.config.conftest import SERVICE, Machine, Toy

EDITS: list[tuple[str, dict[str, Raw | None], str]] = [
    ("port: 1\n", {"port": "2"}, "port: 2\n"),
    ("port: '1'  # mine\n", {"port": "2"}, "port: '2'  # mine\n"),
    (
        'port:   "1"  # mine\r\nlow: 0\r\n',
        {"port": "2", "high": "7"},
        'port:   "2"  # mine\r\nlow: 0\r\nhigh: 7\r\n',
    ),
    ("port: 1_000", {"port": "1000"}, "port: 1_000"),
    ("port: '4711'", {"port": "4711"}, "port: '4711'"),
    ("low: 0\n", {"port": "4711"}, "low: 0\n"),
    ("low: 0", {"port": "4712"}, "low: 0\nport: 4712\n"),
    ("", {"port": "4712"}, "port: 4712\n"),
    ("---\nlow: 0\n...\n# end\n", {"port": "1"}, "---\nlow: 0\nport: 1\n...\n# end\n"),
    ("#port: 1\nlow: 0\n", {"port": "2"}, "#port: 1\nport: 2\nlow: 0\n"),
    ("# port: 1\n# more\nlow: 0\n", {"port": "2"}, "# port: 1\nport: 2\n# more\nlow: 0\n"),
    ("  low: 0\n", {"port": "2"}, "  low: 0\n  port: 2\n"),
    ("port:\nlow: 0\n", {"port": "2"}, "port: 2\nlow: 0\n"),
    ("port: # which?\n", {"port": "2"}, "port: 2 # which?\n"),
    ("{low: 0, port: 1}\n", {"port": "2"}, "{low: 0, port: 2}\n"),
    ("port: eighty\n", {"port": "80"}, "port: 80\n"),
    ("allowed_hosts: [a, b] # x\n", {"allowed_hosts": ("c",)}, "allowed_hosts: [c] # x\n"),
    ("allowed_hosts:\n- a\n- b\nlow: 0\n", {"allowed_hosts": ("c",)}, "allowed_hosts: [c]\nlow: 0\n"),
    ("allowed_hosts:\n  - a\n\n# tail\n", {"allowed_hosts": ()}, "allowed_hosts: []\n\n# tail\n"),
    ("allowed_hosts:\n- a\n- b\n", {"allowed_hosts": ("a", "b")}, "allowed_hosts:\n- a\n- b\n"),
    ("model_dir: '/a'\n", {"model_dir": "/it's"}, "model_dir: '/it''s'\n"),
    ("model_dir: /a\n", {"model_dir": "/a: #b"}, 'model_dir: "/a: #b"\n'),
    ("port: 1\nlow: 0\n", {"port": None}, "#port: 1\nlow: 0\n"),
    ("allowed_hosts:\n- a\n- b\nlow: 0\n", {"allowed_hosts": None}, "#allowed_hosts:\n#- a\n#- b\nlow: 0\n"),
    ("low: 0\n", {"port": None}, "low: 0\n"),
    ("\ufeffport: 1\n", {"port": "2"}, "\ufeffport: 2\n"),
    ("model_dir: /für # ⛄\nport: 1\n", {"port": "2"}, "model_dir: /für # ⛄\nport: 2\n"),
]


@pytest.mark.parametrize(("before", "wanted", "after"), EDITS, ids=lambda value: repr(value)[:30])
def test_edits(machine: Machine, before: str, wanted: dict[str, Raw | None], after: str) -> None:
    machine.write(machine.admin, before)
    Editor(SERVICE, Toy, machine.places).apply(wanted)
    assert machine.admin.read_bytes().decode() == after


REFUSED = [
    ("port: 1\n", {"port": "0"}, "port: 0 is not an integer"),
    ("port: 1\n", {"prot": "0"}, "'prot': unknown key; did you mean \"port\"?"),
    ("port: 1\n", {"low": "7"}, "low (7) is more than high (5)"),
    ("port: 1\nprot: 2\n", {"port": "3"}, ":2: prot: unknown key"),
    ("port: 1\nport: 2\n", {"port": "3"}, "given twice"),
    ("port: &a 1\n", {"port": "3"}, "line 1: port: not a plain value"),
    ("port: {a: 1}\n", {"port": "3"}, "line 1: port: not a plain value"),
    ("low: 0\nport: |\n  1\n", {"port": "3"}, "line 2: port: not a plain value"),
    ("{low: 0}\n", {"port": "3"}, "written in braces"),
    ("allowed_hosts:\n- a # x\n- b\n", {"allowed_hosts": ("c",)}, "a list with comments"),
    ("port: [\n", {"port": "3"}, ":2: "),
    ("- a\n", {"port": "3"}, ":1: not a mapping"),
]


@pytest.mark.parametrize(("before", "wanted", "message"), REFUSED, ids=lambda value: repr(value)[:30])
def test_refused_edits_change_nothing(
    machine: Machine, before: str, wanted: dict[str, Raw | None], message: str
) -> None:
    machine.write(machine.admin, before)
    inode = machine.admin.stat().st_ino
    with pytest.raises(ConfigError) as raised:
        Editor(SERVICE, Toy, machine.places).apply(wanted)
    assert message in str(raised.value)
    assert (machine.admin.read_text(), machine.admin.stat().st_ino) == (before, inode)
    assert [path.name for path in machine.admin.parent.iterdir()] == [machine.admin.name]


def test_mode_stays_and_an_unchanged_file_is_not_touched(machine: Machine) -> None:
    machine.write(machine.admin, "port: 1\n")
    machine.admin.chmod(0o640)
    inode = machine.admin.stat().st_ino
    editor = Editor(SERVICE, Toy, machine.places)
    assert editor.apply({"port": "1", "low": "1"}) == []
    assert machine.admin.stat().st_ino == inode
    assert [change.name for change in editor.apply({"port": "2", "low": "0"})] == ["port", "low"]
    assert machine.admin.stat().st_mode & 0o777 == 0o640


def test_a_new_file_begins_with_words_and_one_with_a_key_is_closed(machine: Machine) -> None:
    editor = Editor(SERVICE, Toy, machine.places)
    editor.apply({"port": "4711"})
    assert not machine.admin.exists()
    editor.apply({"port": "80"})
    assert machine.admin.read_text().startswith("# Settings of hailo-toy.")
    assert machine.admin.stat().st_mode & 0o777 == 0o644
    machine.admin.unlink()
    changes = editor.apply({"api_keys": ("sesame-open",)})
    assert machine.admin.stat().st_mode & 0o777 == 0o640
    assert "sesame" not in repr(changes)


def test_the_package_default_is_a_default_and_a_stronger_file_is_named(machine: Machine) -> None:
    machine.write(machine.package, "port: 99\n")
    stronger = machine.write(machine.dropins / "10.yaml", "port: 5\n")
    machine.write(machine.admin, "")
    editor = Editor(SERVICE, Toy, machine.places)
    assert editor.apply({"port": "99"}) == []
    [change] = editor.apply({"port": "4711"})
    assert (change.before, change.after, change.overridden_by) == ("", "4711", f"{stronger}:1")
    assert load(Toy, SERVICE, machine.places).port == 5


def test_two_editors_lose_no_change(machine: Machine) -> None:
    names = ["low", "high", "port", "queue_size", "threads", "max_image_side"]

    def change(name: str) -> None:
        Editor(SERVICE, Toy, machine.places).apply({name: "3" if name in ("low", "high") else "33"})

    threads = [threading.Thread(target=change, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = load(Toy, SERVICE, machine.places)
    assert [getattr(found, name) for name in names] == [3, 3, 33, 33, 33, 33]


LINES = st.sampled_from(
    [
        "port: 1",
        "low: '2'",
        'high: "3"  # c',
        "# note",
        "",
        "#port: 8",
        "log_level: info",
        "queue_size: 0x",
        "docs: yes # d",
    ]
)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    lines=st.lists(LINES, unique=True, max_size=9),
    end=st.sampled_from(["\n", "\r\n"]),
    wanted=st.fixed_dictionaries(
        {}, optional={"port": st.integers(0, 70000), "low": st.integers(0, 11), "docs": st.booleans()}
    ),
)
def test_other_lines_stay_and_the_values_are_there(
    machine: Machine, lines: list[str], end: str, wanted: dict[str, object]
) -> None:
    before = "".join(line + end for line in lines)
    machine.write(machine.admin, before)
    try:
        Editor(SERVICE, Toy, machine.places).apply(
            {name: str(value).lower() for name, value in wanted.items()}
        )
    except ConfigError:
        assert machine.admin.read_bytes() == before.encode()
        return
    after = machine.admin.read_bytes().decode()
    kept, there = (
        [line for line in text.splitlines(keepends=True) if line.partition(":")[0] not in wanted]
        for text in (after, before)
    )
    assert kept == there
    found = yaml.safe_load(after) or {}
    if wanted and after != before:
        loaded = load(Toy, SERVICE, machine.places)
        assert {name: getattr(loaded, name) for name in wanted} == wanted
    assert set(found) >= {line.partition(":")[0] for line in lines if line and not line.startswith("#")}


@pytest.mark.parametrize(
    ("words", "value"), [("a,b", ("a", "b")), ("[a, 'b']", ("a", "b")), ("", ()), ("[]", ()), (" a ", ("a",))]
)
def test_lists_as_people_type_them(words: str, value: tuple[str, ...]) -> None:
    key = next(key for key in Toy.table() if key.name == "allowed_hosts")
    assert raw_value(key, words) == value


def test_a_folder_that_cannot_be_written_is_told(machine: Machine) -> None:
    machine.write(machine.root / "etc/hailo", "a file where a folder must be")
    with pytest.raises(ConfigError, match=r"cannot be used: (File exists|Not a directory)"):
        Editor(SERVICE, Toy, machine.places).apply({"port": "80"})
    assert [path.name for path in (machine.root / "etc").iterdir()] == ["hailo"]
