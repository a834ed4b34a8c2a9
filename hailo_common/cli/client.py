"""Asks a service of this machine over HTTP, as a client would."""

from __future__ import annotations

import http.client
import ipaddress
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hailo_common.config.common_keys import CommonSettings
from hailo_common.config.strict_yaml import read_text
from hailo_common.errors import ConfigError

_MAX_BYTES = 1_000_000


class NoAnswerError(Exception):
    """Nothing answers, or not as a service does; the message says what came instead."""


@dataclass(frozen=True)
class Reply:
    """A status and the JSON object that came with it."""

    status: int
    body: Mapping[str, Any]

    @property
    def message(self) -> str:
        """The error's text, of both services."""
        error = self.body.get("error")
        nested = error.get("message") if isinstance(error, dict) else None
        return str(nested or self.body.get("message") or self.body.get("reason") or error or "")


class Client:
    """Talks to the address that a service is configured to listen on."""

    def __init__(self, settings: CommonSettings) -> None:
        self.host, self.port = _reachable(settings.host), settings.port
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

    def _ask(self, method: str, path: str, value: Mapping[str, Any] | None, timeout_s: float) -> Reply:
        status, data = self._exchange(method, path, value, timeout_s)
        try:
            body = json.loads(data)
        except ValueError:
            body = None
        if not isinstance(body, dict):
            raise NoAnswerError(f"{self.where}: another program answers there (status {status})")
        return Reply(status, body)

    def _exchange(
        self, method: str, path: str, value: Mapping[str, Any] | None, timeout_s: float
    ) -> tuple[int, bytes]:
        headers = {"Accept": "application/json", "Connection": "close"}
        if value is not None:
            headers["Content-Type"] = "application/json"
        if key := self._key():
            headers["Authorization"] = f"Bearer {key}"
        connection = http.client.HTTPConnection(self.host, self.port, timeout=timeout_s)
        try:
            connection.request(method, path, None if value is None else json.dumps(value), headers)
            response = connection.getresponse()
            return response.status, response.read(_MAX_BYTES)
        except TimeoutError:
            raise NoAnswerError(f"{self.where} did not answer within {timeout_s:g} s") from None
        except (OSError, http.client.HTTPException) as error:
            why = getattr(error, "strerror", None) or "what answers is not an HTTP server"
            raise NoAnswerError(f"{self.where}: {why}") from None
        finally:
            connection.close()

    def _key(self) -> str:
        if self._settings.api_keys:
            return self._settings.api_keys[0]
        if self._settings.api_key_file:
            try:
                lines = read_text(Path(self._settings.api_key_file)).splitlines()
            except ConfigError:
                return ""
            return next((line.strip() for line in lines if line.strip() and not line.startswith("#")), "")
        return ""


def _reachable(host: str) -> str:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host
    if not address.is_unspecified:
        return host
    return "127.0.0.1" if address.version == 4 else "::1"
