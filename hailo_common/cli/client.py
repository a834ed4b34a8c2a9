"""Asks a service of this machine over HTTP, as a client would."""

from __future__ import annotations

import contextlib
import http.client
import ipaddress
import json
import os
import pwd
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hailo_common.config.common_keys import CommonSettings, installed_services
from hailo_common.config.strict_yaml import read_text
from hailo_common.errors import ConfigError

_MAX_BYTES = 1_000_000
_OPEN = ("/health", "/health/ready", "/readyz")
"""What needs no key."""
_LISTENING = "0A"
_DATA = b"data: "
_SECONDS = re.compile("[0-9]{1,4}")


class NoAnswerError(Exception):
    """Nothing answers, or not as a service does; the message says what came instead."""


@dataclass(frozen=True)
class Reply:
    """A status and the JSON object that came with it."""

    status: int
    body: Mapping[str, Any]
    retry_after: int | None = None
    """Seconds after which the service wants to be asked again."""

    @property
    def message(self) -> str:
        """The error's text, of both services."""
        error = self.body.get("error")
        nested = error.get("message") if isinstance(error, dict) else None
        return str(nested or self.body.get("message") or self.body.get("reason") or error or "")


class Client:
    """Talks to the address that a service is configured to listen on."""

    def __init__(self, settings: CommonSettings) -> None:
        self.host, self.port = reachable(settings.host), settings.port
        self._settings = settings

    @property
    def where(self) -> str:
        """The address for people."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def get(self, path: str, timeout_s: float = 10.0) -> Reply:
        """GET; raises NoAnswerError."""
        return self._ask("GET", path, None, timeout_s)

    def post(self, path: str, value: Mapping[str, Any], timeout_s: float) -> Reply:
        """POST of JSON, with a key if one is configured and may be read; raises NoAnswerError."""
        return self._ask("POST", path, value, timeout_s)

    def events(
        self, path: str, value: Mapping[str, Any], timeout_s: float
    ) -> Iterator[Reply | Mapping[str, Any]]:
        """The events of a streamed answer to a POST, or its only reply where it is no stream.

        `timeout_s` bounds each silence. Raises NoAnswerError.
        """
        with self._opened("POST", path, value, timeout_s) as response:
            if response.getheader("content-type", "").startswith("text/event-stream"):
                yield from self._events(response)
            else:
                yield self._whole(response)

    def _events(self, response: http.client.HTTPResponse) -> Iterator[Mapping[str, Any]]:
        while line := response.readline(_MAX_BYTES):
            if not line.startswith(_DATA):
                continue
            data = line.removeprefix(_DATA).strip()
            if data == b"[DONE]":
                return
            event = self._reply(response.status, data).body
            yield event
            if "error" in event:
                return
        # http.client takes a connection that ends between two pieces for the end of the answer.
        raise NoAnswerError(f"{self.where}: the answer was broken off")

    def _ask(self, method: str, path: str, value: Mapping[str, Any] | None, timeout_s: float) -> Reply:
        with self._opened(method, path, value, timeout_s) as response:
            return self._whole(response)

    def _whole(self, response: http.client.HTTPResponse) -> Reply:
        reply = self._reply(response.status, response.read(_MAX_BYTES))
        seconds = response.getheader("retry-after", "")
        return replace(reply, retry_after=int(seconds)) if _SECONDS.fullmatch(seconds) else reply

    def _reply(self, status: int, data: bytes) -> Reply:
        try:
            body = json.loads(data)
        except (ValueError, RecursionError):
            body = None
        if not isinstance(body, dict):
            raise NoAnswerError(f"{self.where}: another program answers there (status {status})")
        return Reply(status, body)

    @contextlib.contextmanager
    def _opened(
        self, method: str, path: str, value: Mapping[str, Any] | None, timeout_s: float
    ) -> Iterator[http.client.HTTPResponse]:
        """The response to a request; what fails until it is read is NoAnswerError."""
        headers = {"Accept": "application/json", "Connection": "close"}
        if value is not None:
            headers["Content-Type"] = "application/json"
        if path.partition("?")[0] not in _OPEN and (key := self._key()):
            self._check_listener()
            headers["Authorization"] = f"Bearer {key}"
        connection = http.client.HTTPConnection(self.host, self.port, timeout=timeout_s)
        try:
            connection.request(method, path, None if value is None else json.dumps(value), headers)
            yield connection.getresponse()
        except TimeoutError:
            raise NoAnswerError(f"{self.where} did not answer within {timeout_s:g} s") from None
        except (OSError, http.client.HTTPException) as error:
            why = getattr(error, "strerror", None) or "what answers is not an HTTP server"
            raise NoAnswerError(f"{self.where}: {why}") from None
        finally:
            connection.close()

    def _check_listener(self) -> None:
        """Raise NoAnswerError where another user's program has the port: it would get the key."""
        strangers = listeners(self.port) - trusted_users()
        if strangers:
            raise NoAnswerError(
                f"{self.where}: a program of another user (number {min(strangers)}) listens there;"
                " the key is not sent to it"
            )

    def _key(self) -> str:
        if self._settings.api_keys:
            return self._settings.api_keys[0]
        for name in (self._settings.api_key_file, self._settings.gateway_key_file):
            if name and (key := _first_key(Path(name))):
                return key
        return ""


def listeners(port: int, proc: Path = Path("/proc/net")) -> set[int]:
    """The users whose sockets listen on a TCP port of this machine."""
    users = set()
    for name in ("tcp", "tcp6"):
        try:
            lines = (proc / name).read_text(encoding="ascii").splitlines()[1:]
        except OSError:
            continue
        for fields in map(str.split, lines):
            if fields[3] == _LISTENING and int(fields[1].rpartition(":")[2], 16) == port:
                users.add(int(fields[7]))
    return users


def trusted_users() -> set[int]:
    """Root, whose systemd listens for the services; these themselves; and who asks."""
    users = {0, os.geteuid()}
    for name in installed_services():
        with contextlib.suppress(KeyError):
            users.add(pwd.getpwnam(name).pw_uid)
    return users


def _first_key(path: Path) -> str:
    try:
        lines = read_text(path).splitlines()
    except ConfigError:
        return ""
    return next((line.strip() for line in lines if line.strip() and not line.startswith("#")), "")


def reachable(host: str) -> str:
    """Where to go for what listens at `host`: an address that means every network is none to go to."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host
    if not address.is_unspecified:
        return host
    return "127.0.0.1" if address.version == 4 else "::1"
