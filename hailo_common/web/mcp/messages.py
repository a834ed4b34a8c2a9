"""One message of a client, checked: JSON-RPC's envelope, and the revision of the protocol it is written in.

Up to 2025-11-25 a client says its revision once, in `initialize`, and then in a header. From 2026-07-28 on
each request says it itself, in `params._meta`, and the headers must say the same as the body.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeGuard

from hailo_common.web.mcp.errors import (
    HEADER_MISMATCH,
    INVALID_PARAMS,
    INVALID_REQUEST,
    UNSUPPORTED_VERSION,
    MessageId,
    RpcError,
)

HANDSHAKE = ("2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25")
"""Revisions that begin with `initialize`, the oldest first."""
STATELESS = ("2026-07-28",)
"""Revisions whose every request stands alone."""
REVISIONS = (*HANDSHAKE, *STATELESS)

META = "io.modelcontextprotocol/"
_VERSION, _CAPABILITIES = f"{META}protocolVersion", f"{META}clientCapabilities"
_VERSION_HEADER = "mcp-protocol-version"
_MAX_NAME = 256  # characters
_ENCODED = re.compile(r"=\?base64\?([A-Za-z0-9+/=]*)\?=")


@dataclass(frozen=True)
class Message:
    """A request; `stateless` says which of the two kinds of revisions it is written in."""

    id: MessageId
    method: str
    params: dict[str, Any]
    stateless: bool

    def error(self, code: int, message: str) -> RpcError:
        """An error in answer to it. Before the stateless revisions HTTP's own status stays 200."""
        return RpcError(code, message, id=self.id, in_http=self.stateless)

    @property
    def progress_token(self) -> MessageId | None:
        """What a client wants to be told of progress under; None if it does not."""
        token = _meta(self.params).get("progressToken")
        return token if _is_id(token) else None


def read_message(data: dict[str, Any], headers: Mapping[str, str]) -> Message | None:
    """The request in a body, None for a notification or a response, which nobody here waits for.

    Raises RpcError.
    """
    if data.get("jsonrpc") != "2.0":
        raise RpcError(INVALID_REQUEST, 'The body must be one JSON-RPC message: {"jsonrpc": "2.0", ...}.')
    version = headers.get(_VERSION_HEADER)
    if version is not None and version not in REVISIONS:
        raise _unsupported(version, data.get("id"))
    if "id" not in data or "method" not in data:
        return None
    message = _request(data)
    if version in STATELESS or _VERSION in _meta(message.params):
        message = Message(message.id, message.method, message.params, True)
        _check_envelope(message, headers)
    return message


def enveloped(message: Message, result: dict[str, Any]) -> dict[str, Any]:
    """A result as the answer to a message."""
    return {"jsonrpc": "2.0", "id": message.id, "result": result}


def _request(data: dict[str, Any]) -> Message:
    id, method, params = data["id"], data["method"], data.get("params")
    if not _is_id(id):
        raise RpcError(INVALID_REQUEST, f"id must be an integer or at most {_MAX_NAME} characters.")
    if not isinstance(method, str) or len(method) > _MAX_NAME:
        raise RpcError(INVALID_REQUEST, "method must be the name of a method.", id=id)
    if params is not None and not isinstance(params, dict):
        raise RpcError(INVALID_PARAMS, "params must be an object.", id=id)
    return Message(id, method, params or {}, False)


def _check_envelope(message: Message, headers: Mapping[str, str]) -> None:
    """Raise RpcError where a stateless request lacks what it must say, or contradicts its headers."""
    meta = _meta(message.params)
    missing = [name for name in (_VERSION, _CAPABILITIES) if name not in meta]
    if missing:
        raise message.error(INVALID_PARAMS, f"params._meta must have {' and '.join(missing)}.")
    named = message.params.get("name") if message.method == "tools/call" else None
    for header, said in (
        (_VERSION_HEADER, meta[_VERSION]),
        ("mcp-method", message.method),
        ("mcp-name", named),
    ):
        if said is not None and _decoded(headers.get(header)) != said:
            raise message.error(HEADER_MISMATCH, f"The header {header} does not say what the body says.")
    if meta[_VERSION] not in STATELESS:
        raise _unsupported(meta[_VERSION], message.id)


def _unsupported(version: object, id: object) -> RpcError:
    data = {"supported": list(REVISIONS), "requested": str(version)[:_MAX_NAME]}
    text = f"The revisions of the protocol that are spoken here are {', '.join(REVISIONS)}."
    return RpcError(UNSUPPORTED_VERSION, text, id=id if _is_id(id) else None, data=data)


def _meta(params: dict[str, Any]) -> dict[str, Any]:
    meta = params.get("_meta")
    return meta if isinstance(meta, dict) else {}


def _is_id(value: object) -> TypeGuard[MessageId]:
    if isinstance(value, str):
        return len(value) <= _MAX_NAME
    return isinstance(value, int) and not isinstance(value, bool)


def _decoded(header: str | None) -> str | None:
    """The text of a header, which is in base64 where it is more than plain ASCII."""
    match = _ENCODED.fullmatch(header or "")
    if match is None:
        return header
    try:
        return base64.b64decode(match[1], validate=True).decode("utf-8")
    except (binascii.Error, UnicodeDecodeError):
        return None
