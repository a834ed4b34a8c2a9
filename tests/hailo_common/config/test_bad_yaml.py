"""Every broken configuration names file, line and key."""

from __future__ import annotations

import os
import time

import pytest

from hailo_common.config.load import load
from hailo_common.config.strict_yaml import MAX_FILE_BYTES
from hailo_common.errors import ConfigError
from tests.hailo_common.config.conftest import SERVICE, Machine, Toy

ALLOWED_NAMES = "a list of at most 64 host names or IP addresses, without port"

BAD = [
    ("prot: 1", '1: prot: unknown key; did you mean "port"?'),
    ("low: 1\nlog-level: info", "2: 'log-level': unknown key; did you mean \"log_level\"?"),
    ("zzzzzz: 1", "1: zzzzzz: unknown key"),
    ("Port: 1", '1: Port: unknown key; did you mean "port"?'),
    ('"po\\nrt": 1', "1: 'po\\nrt': unknown key; did you mean \"port\"?"),
    ("\n\nport: 70000", "3: port: 70000 is not an integer from 1 to 65535"),
    ("port: -1", "1: port: '-1' is not an integer from 1 to 65535"),
    ("port: 1.5", "1: port: 1.5 is not an integer from 1 to 65535"),
    ("port: 0o17", "1: port: '0o17' is not an integer from 1 to 65535"),
    ("port: 0080", "1: port: 0080 is not an integer from 1 to 65535"),
    ("port: 1:30", "1: port: '1:30' is not an integer from 1 to 65535"),
    ("port: yes", "1: port: 'yes' is not an integer from 1 to 65535"),
    ("port: [1]", "1: port: [1] is not an integer from 1 to 65535"),
    ("port: {a: {b: [1]}}", "1: port: a mapping; it must be an integer from 1 to 65535"),
    ("port:", "1: port: no value is given; it must be an integer from 1 to 65535"),
    ("port: ~", "1: port: no value is given; it must be an integer from 1 to 65535"),
    ("port: " + "9" * 5000, f"1: port: '{'9' * 60}…' is not an integer from 1 to 65535"),
    ("load_timeout_s: .inf", "1: load_timeout_s: '.inf' is not a number from 1 to 3600"),
    ("load_timeout_s: 0.5", "1: load_timeout_s: 0.5 is not a number from 1 to 3600"),
    ("backend: gpu", "1: backend: 'gpu' is not one of auto, npu, cpu"),
    ("backend: no", "1: backend: 'no' is not one of auto, npu, cpu"),
    ("docs: 1", "1: docs: 1 is not true or false"),
    ("host: 'a b'", "1: host: 'a b' is not an IP address or a host name"),
    ("host: '[::1]'", "1: host: '[::1]' is not an IP address or a host name"),
    ("host: 127.0.0.256", "1: host: '127.0.0.256' is not an IP address or a host name"),
    ("model_dir: models", "1: model_dir: 'models' is not an absolute path, or empty"),
    ('model_dir: "/a\\u202eb"', "1: model_dir: '/a\\u202eb' is not an absolute path, or empty"),
    ('model_dir: "/a\\0b"', "1: model_dir: '/a\\x00b' is not an absolute path, or empty"),
    ("allowed_hosts: pi", f"1: allowed_hosts: 'pi' is not {ALLOWED_NAMES}"),
    ("allowed_hosts: [a, 'b:80']", f"1: allowed_hosts: ['a', 'b:80'] is not {ALLOWED_NAMES}"),
    (
        "allowed_hosts: [[a]]",
        f"1: allowed_hosts: a list of something other than strings; it must be {ALLOWED_NAMES}",
    ),
    (
        "allowed_hosts: [{a: 1}]",
        f"1: allowed_hosts: a list of something other than strings; it must be {ALLOWED_NAMES}",
    ),
    ("allowed_hosts: [a, ~]", f"1: allowed_hosts: no value is given; it must be {ALLOWED_NAMES}"),
    (f"allowed_hosts: [{'a,' * 65}]", f"1: allowed_hosts: ['a', 'a', 'a', 'a', …] is not {ALLOWED_NAMES}"),
    ("port: 1\nlow: 2\nport: 3", "3: port: given twice, first on line 1"),
    ("low: 7", "1: low: low (7) is more than high (5)"),
    ("high: 3\nlow: 7", "2: low, {file}:1: high: low (7) is more than high (3)"),
    ("- port", "1: not a mapping; every line must be `key: value`"),
    ("just text", "1: not a mapping; every line must be `key: value`"),
    ("port: 1\n---\nport: 2", "2: a second YAML document; only one is allowed"),
    ("? [a]\n: 1", "1: a key must be a plain word"),
    ("low: 1\n~: 1", "2: a key must be a plain word"),
    (
        "low: &a 1",
        "1: low: anchors, aliases and tags are not supported; it must be an integer from 0 to 10",
    ),
    (
        "low: !!int 1",
        "1: low: anchors, aliases and tags are not supported; it must be an integer from 0 to 10",
    ),
    (
        "allowed_hosts: !!python/tuple [a]",
        f"1: allowed_hosts: anchors, aliases and tags are not supported; it must be {ALLOWED_NAMES}",
    ),
    ("a: &a [x]\nb: [*a,*a]", "1: a: unknown key"),
    ("*a: 1", "1: a key must be a plain word"),
    ("low: 1\n\thigh: 2", "2: a tab character; YAML is indented with spaces"),
    ("low: 1\nhost: 'a", "2: found unexpected end of stream"),
    ("low: [1", "1: expected ',' or ']', but got '<stream end>'"),
    ("low: 1\n high: 2", "2: mapping values are not allowed here"),
    ("low: @", "1: found character '@' that cannot start any token"),
    (
        "low: *nobody",
        "1: low: anchors, aliases and tags are not supported; it must be an integer from 0 to 10",
    ),
    ('host: "\\UFFFFFFFF"', ": an escape in a quoted text is not a character"),
    ("low: 1\nhost: a\x07", "2: a control character, this is not plain text"),
    ("%YAML 9.9\n---\nlow: 1", "1: found incompatible YAML document (version 1.* is required)"),
    (b"low: 1\n\xff", "2: byte 0xff is not UTF-8"),
    (b"low: 1\n\n\0", "3: a NUL byte, this is not a text file"),
    ("low: 1".encode("utf-16"), "1: a NUL byte, this is not a text file"),
    ("#" * MAX_FILE_BYTES + "#", ": larger than 64 KiB"),
]


@pytest.mark.parametrize(("content", "message"), BAD, ids=lambda value: repr(value)[:40])
def test_message_is_exact(machine: Machine, content: str | bytes, message: str) -> None:
    machine.write(machine.admin, content)
    with pytest.raises(ConfigError) as raised:
        load(Toy, SERVICE, machine.places)
    first = str(raised.value).splitlines()[0]
    separator = "" if message.startswith(":") else ":"
    assert first == f"{machine.admin}{separator}{message.replace('{file}', str(machine.admin))}"


def test_all_problems_of_all_files_are_told_at_once(machine: Machine) -> None:
    machine.write(machine.admin, "prot: 1\nport: 0\n")
    machine.write(machine.dropins / "10-a.yaml", "- x")
    machine.write(machine.dropins / "20-b.yaml", "docs: perhaps")
    with pytest.raises(ConfigError) as raised:
        load(Toy, SERVICE, machine.places)
    lines = [line.replace(f"{machine.root}/etc/hailo/", "") for line in str(raised.value).splitlines()]
    assert [line.rsplit(": ", 2)[0].split(": ")[0] for line in lines] == [
        "hailo-toy.yaml:1",
        "hailo-toy.yaml:2",
        "hailo-toy.d/10-a.yaml:1",
        "hailo-toy.d/20-b.yaml:1",
    ]


def test_what_is_no_file_is_refused_without_waiting(machine: Machine) -> None:
    machine.admin.parent.mkdir(parents=True)
    os.mkfifo(machine.admin)
    with pytest.raises(ConfigError, match="not a regular file"):
        load(Toy, SERVICE, machine.places)
    machine.admin.unlink()
    machine.admin.mkdir()
    with pytest.raises(ConfigError, match="not a regular file"):
        load(Toy, SERVICE, machine.places)
    machine.admin.rmdir()
    machine.admin.symlink_to("nowhere")
    with pytest.raises(ConfigError, match="No such file"):
        load(Toy, SERVICE, machine.places)


def test_bombs_are_cheap(machine: Machine) -> None:
    laughs = "a0: &a0 [x]\n" + "".join(
        f"a{i}: &a{i} [{','.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 60)
    )
    started = time.monotonic()
    for bomb in (laughs, "low: " + "[" * 60_000, "low: " + "{a: " * 15_000, "a: " * 20_000, "- " * 30_000):
        machine.write(machine.admin, bomb)
        with pytest.raises(ConfigError):
            load(Toy, SERVICE, machine.places)
    assert time.monotonic() - started < 10
