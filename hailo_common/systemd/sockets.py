"""Listening sockets: those systemd passed on, else our own.

Inherited sockets are taken with `socket.socket(fileno=...)`, which finds their family; uvicorn's `fd=` treats
every one as AF_UNIX and then never sets TCP_NODELAY on accepted connections.
"""

from __future__ import annotations

import errno
import ipaddress
import os
import socket
from collections.abc import Collection, MutableMapping

_FIRST_FD = 3
_BACKLOG = 256
_ABSENT = (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL)
_VARIABLES = ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "LISTEN_PIDFDID")


class ListenError(Exception):
    """No socket to listen on; `exit_status` is 69 for what may heal and 78 for what needs the operator."""

    def __init__(self, message: str, exit_status: int = os.EX_UNAVAILABLE) -> None:
        super().__init__(message)
        self.exit_status = exit_status


def listening_sockets(
    host: str, port: int, environ: MutableMapping[str, str] = os.environ, names: Collection[str] = ()
) -> list[socket.socket]:
    """The sockets to serve on; `host` and `port` count only when systemd passed none."""
    return inherited_sockets(environ, names) or bind(host, port)


def inherited_sockets(
    environ: MutableMapping[str, str] = os.environ,
    names: Collection[str] = (),
    first_fd: int = _FIRST_FD,
    kind: socket.SocketKind = socket.SOCK_STREAM,
) -> list[socket.socket]:
    """Sockets of a systemd socket unit, all or those called `names`; takes the variables out of `environ`.

    Raises ListenError for one that does not listen, or is of another kind.
    """
    pid, count, given, _ = (environ.pop(name, "") for name in _VARIABLES)
    if pid != str(os.getpid()) or not count.isdigit():
        return []
    fds = range(first_fd, first_fd + int(count))
    labels = dict(zip(fds, given.split(":"), strict=False))
    for fd in fds:
        os.set_inheritable(fd, False)
    return [_adopt(fd, kind) for fd in fds if not names or labels.get(fd) in names]


def bind(host: str, port: int) -> list[socket.socket]:
    """Listen on an address, on every address of a name, or with `::` on everything by one socket."""
    sockets: list[socket.socket] = []
    refused: OSError | None = None
    for family, address in _addresses(host, port):
        try:
            sockets.append(_bind_one(family, address))
        except OSError as error:
            if error.errno not in _ABSENT:
                _close(sockets)
                raise _explained(error, host, port) from None
            refused = error
    if not sockets and refused:
        raise _explained(refused, host, port) from None
    return sockets


def _adopt(fd: int, kind: socket.SocketKind) -> socket.socket:
    try:
        adopted = socket.socket(fileno=fd)
    except OSError as error:
        raise ListenError(f"descriptor {fd} passed by systemd is not a socket", os.EX_CONFIG) from error
    listens = adopted.type == kind and adopted.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
    if not listens:
        adopted.close()
        raise ListenError(f"descriptor {fd} passed by systemd does not listen as it should", os.EX_CONFIG)
    _no_delay(adopted)
    return adopted


def _addresses(host: str, port: int) -> list[tuple[socket.AddressFamily, tuple[object, ...]]]:
    if host == "::" and not _has_ipv6():
        host = "0.0.0.0"
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)
    except OSError:
        raise ListenError(f"cannot listen on {host}: the name has no address") from None
    return list(dict.fromkeys((family, address) for family, _, _, _, address in found))


def _has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_STREAM):
            return True
    except OSError:
        return False


def _bind_one(family: socket.AddressFamily, address: tuple[object, ...]) -> socket.socket:
    # The protocol is given because asyncio sets TCP_NODELAY only where it reads IPPROTO_TCP.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            everything = ipaddress.ip_address(str(address[0])).is_unspecified
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, not everything)
        listener.bind(address)
        _no_delay(listener)
        listener.listen(_BACKLOG)
    except BaseException:
        listener.close()
        raise
    return listener


def _no_delay(listener: socket.socket) -> None:
    """Accepted connections inherit it."""
    if listener.family in (socket.AF_INET, socket.AF_INET6):
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def _close(sockets: list[socket.socket]) -> None:
    for opened in sockets:
        opened.close()


def _explained(error: OSError, host: str, port: int) -> ListenError:
    where = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    if error.errno == errno.EADDRINUSE:
        return ListenError(f"cannot listen on {where}: another program listens there; `ss -ltnp` names it")
    if error.errno == errno.EADDRNOTAVAIL:
        return ListenError(f"cannot listen on {where}: this machine does not have this address now")
    if error.errno in (errno.EACCES, errno.EPERM):
        text = "ports below 1024 need a socket unit or CAP_NET_BIND_SERVICE"
        return ListenError(f"cannot listen on {where}: not permitted; {text}", os.EX_CONFIG)
    return ListenError(f"cannot listen on {where}: {error.strerror}")
