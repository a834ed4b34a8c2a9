"""How JSON-RPC reports errors."""

from __future__ import annotations

from typing import Any

from hailo_common.errors import ServiceError
from hailo_common.web.errors import FlatFormat, HttpRefusal

PARSE_ERROR = -32700
INVALID_REQUEST = -32600
METHOD_NOT_FOUND = -32601
INVALID_PARAMS = -32602
INTERNAL_ERROR = -32603
HEADER_MISMATCH = -32020
UNSUPPORTED_VERSION = -32022

_STATUSES = {METHOD_NOT_FOUND: 404}
_SLUGS = {
    INVALID_REQUEST: "invalid_request",
    METHOD_NOT_FOUND: "method_not_found",
    INVALID_PARAMS: "invalid_params",
    HEADER_MISMATCH: "header_mismatch",
    UNSUPPORTED_VERSION: "unsupported_protocol_version",
}

MessageId = str | int


class RpcError(HttpRefusal):
    """A message that is not served; `rpc_code` is JSON-RPC's, `data` what the protocol wants beside it."""

    def __init__(
        self,
        rpc_code: int,
        message: str,
        *,
        id: MessageId | None = None,
        data: dict[str, Any] | None = None,
        in_http: bool = True,
    ) -> None:
        status = _STATUSES.get(rpc_code, 400) if in_http else 200
        super().__init__(status, _SLUGS[rpc_code], message)
        self.rpc_code = rpc_code
        self.id = id
        self.data = data


class JsonRpcFormat(FlatFormat):
    """`{"jsonrpc", "id", "error": {"code", "message", "data"}}`; `data.code` is the service's own code."""

    def __call__(self, status: int, error: ServiceError) -> dict[str, Any]:
        """See `ErrorFormat`."""
        data: dict[str, Any] = {"code": error.code}
        if isinstance(error, RpcError):
            data = data if error.data is None else error.data
            return _error(error.id, error.rpc_code, error.message, data)
        return _error(None, _code(status, error), error.message, data)


def _code(status: int, error: ServiceError) -> int:
    if error.code == "invalid_json":
        return PARSE_ERROR
    return INTERNAL_ERROR if status >= 500 else INVALID_REQUEST


def _error(id: MessageId | None, code: int, message: str, data: dict[str, Any]) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": id, "error": {"code": code, "message": message, "data": data}}


json_rpc_format = JsonRpcFormat()
