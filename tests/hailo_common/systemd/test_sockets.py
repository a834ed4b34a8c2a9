"""Sockets from systemd, and our own."""

from __future__ import annotations

import fcntl
import os
import socket
import subprocess
import sys

import pytest

from hailo_common.systemd import sockets as module
from hailo_common.systemd.sockets import ListenError, bind, inherited_sockets, listening_sockets
from tests.hailo_common.systemd.conftest import TREE

TELL = """
import json, os, socket, sys
os.environ["LISTEN_PID"] = str(os.getpid())
from hailo_common.systemd.sockets import listening_sockets
found = listening_sockets("127.0.0.1", 0, names=sys.argv[1:])
print(json.dumps([[s.family.name, s.proto, s.getsockname()[:2], s.get_inheritable(),
    s.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)] for s in found]))
print([name for name in os.environ if name.startswith("LISTEN_")])
"""


def exec_with(fds: list[int], *names: str, given: str = "") -> list[str]:
    """Run TELL with `fds` as 3, 4, ... as systemd does: across fork and exec."""
    shell = " ".join(f"{number}<&{fd}" for number, fd in enumerate(fds, 3))
    command = f'exec "$0" -c "$1" {" ".join(names)} {shell}'
    environ = {**os.environ, "PYTHONPATH": str(TREE), "LISTEN_FDS": str(len(fds)), "LISTEN_FDNAMES": given}
    done = subprocess.run(
        ["bash", "-c", command, sys.executable, TELL],
        env=environ,
        pass_fds=fds,
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    return done.stdout.splitlines()


def high(listener: socket.socket) -> int:
    """A descriptor number that the redirections 3 and 4 do not overwrite."""
    return fcntl.fcntl(listener.fileno(), fcntl.F_DUPFD, 50)


def test_inherited_socket_keeps_its_family_across_exec() -> None:
    (listener,) = bind("127.0.0.1", 0)
    fd = high(listener)
    told = exec_with([fd])
    port = listener.getsockname()[1]
    assert told == [f'[["AF_INET", 6, ["127.0.0.1", {port}], false, 1]]', "[]"]
    os.close(fd)
    listener.close()


def test_inherited_by_name() -> None:
    first, second = bind("127.0.0.1", 0)[0], bind("127.0.0.1", 0)[0]
    fds = [high(first), high(second)]
    told = exec_with(fds, "api", given="metrics:api")
    assert f'["127.0.0.1", {second.getsockname()[1]}]' in told[0]
    assert str(first.getsockname()[1]) not in told[0]
    for fd in fds:
        os.close(fd)
    first.close()
    second.close()


@pytest.mark.parametrize(
    "environ", [{}, {"LISTEN_PID": "1", "LISTEN_FDS": "1"}, {"LISTEN_PID": "x", "LISTEN_FDS": "y"}]
)
def test_variables_of_another_process_are_not_ours(environ: dict[str, str]) -> None:
    assert inherited_sockets(environ) == []
    assert environ == {}


def own_environ(count: int) -> dict[str, str]:
    return {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": str(count)}


def test_wrong_descriptors_are_told() -> None:
    read_fd, write_fd = os.pipe()
    with pytest.raises(ListenError, match="is not a socket") as raised:
        inherited_sockets(own_environ(1), first_fd=read_fd)
    assert raised.value.exit_status == os.EX_CONFIG
    os.close(read_fd)
    os.close(write_fd)
    datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with pytest.raises(ListenError, match="does not listen"):
        inherited_sockets(own_environ(1), first_fd=datagrams.detach())


def test_own_socket_has_no_delay_and_its_protocol() -> None:
    (listener,) = listening_sockets("127.0.0.1", 0, {})
    client = socket.create_connection(listener.getsockname())
    accepted, _ = listener.accept()
    assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    assert accepted.proto == socket.IPPROTO_TCP
    for opened in (accepted, client, listener):
        opened.close()


needs_ipv6 = pytest.mark.skipif(not module._has_ipv6(), reason="no IPv6 here")


@needs_ipv6
def test_everything_is_one_dual_stack_socket() -> None:
    (listener,) = bind("::", 0)
    port = listener.getsockname()[1]
    for address in ("127.0.0.1", "::1"):
        socket.create_connection((address, port), timeout=2).close()
    listener.close()


@needs_ipv6
def test_one_ipv6_address_is_only_that() -> None:
    (listener,) = bind("::1", 0)
    assert listener.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY)
    listener.close()


def test_without_ipv6_everything_is_ipv4(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_has_ipv6", lambda: False)
    (listener,) = bind("::", 0)
    assert listener.getsockname()[0] == "0.0.0.0"
    listener.close()


def test_a_name_gives_every_address_the_machine_has(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [(socket.AF_INET, 1, 6, "", (address, 0)) for address in ("127.0.0.1", "192.0.2.1", "127.0.0.2")]
    monkeypatch.setattr("socket.getaddrinfo", lambda *args, **kwargs: found)
    listeners = bind("some.name", 0)
    assert [listener.getsockname()[0] for listener in listeners] == ["127.0.0.1", "127.0.0.2"]
    for listener in listeners:
        listener.close()


def test_a_taken_port_is_named_and_may_heal() -> None:
    (listener,) = bind("127.0.0.1", 0)
    port = listener.getsockname()[1]
    with pytest.raises(ListenError) as raised:
        bind("127.0.0.1", port)
    assert str(raised.value) == (
        f"cannot listen on 127.0.0.1:{port}: another program listens there; `ss -ltnp` names it"
    )
    assert raised.value.exit_status == os.EX_UNAVAILABLE
    listener.close()


def test_an_address_of_another_machine_may_heal() -> None:
    with pytest.raises(
        ListenError, match=r"192\.0\.2\.1:80: this machine does not have this address now"
    ) as raised:
        bind("192.0.2.1", 80)
    assert raised.value.exit_status == os.EX_UNAVAILABLE


def test_an_unknown_name_may_heal(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*args: object, **kwargs: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr("socket.getaddrinfo", unknown)
    with pytest.raises(ListenError, match="the name has no address") as raised:
        bind("no-such-name.invalid", 80)
    assert raised.value.exit_status == os.EX_UNAVAILABLE


def test_a_port_that_is_not_permitted_needs_the_operator(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object) -> socket.socket:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(module, "_bind_one", refuse)
    with pytest.raises(ListenError, match="ports below 1024 need a socket unit") as raised:
        bind("::1", 80)
    assert raised.value.exit_status == os.EX_CONFIG
    assert str(raised.value).startswith("cannot listen on [::1]:80: ")
