"""API keys: who may come in when some are configured (`Authorization: Bearer KEY` or `X-Api-Key: KEY`)."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable

from starlette.datastructures import Headers
from starlette.types import Scope

from hailo_common.errors import ServiceError, Unauthorized

OPEN_PATHS = frozenset(("/health", "/health/ready", "/readyz"))
"""What a probe asks; it has no key."""
_OPEN_FOLDERS = ("/docs", "/openapi.json")


class ApiKeys:
    """Any number of keys, kept only as digests, so that nothing that prints or logs this can show a key."""

    def __init__(self, keys: Iterable[str] = ()) -> None:
        self._digests = tuple(_digest(key) for key in keys)

    def __bool__(self) -> bool:
        return bool(self._digests)

    def __len__(self) -> int:
        return len(self._digests)

    def accepts(self, key: str) -> bool:
        """Whether `key` is one of them; takes the same time whichever of them matches."""
        presented = _digest(key)
        matches = [hmac.compare_digest(presented, digest) for digest in self._digests]
        return any(matches)


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()


def check_key(scope: Scope, keys: ApiKeys) -> ServiceError | None:
    """Why a request may not come in; None if it may, as every request may where there are no keys."""
    if not keys or _is_open(scope) or keys.accepts(_presented_key(Headers(scope=scope))):
        return None
    return Unauthorized("A valid API key is required: Authorization: Bearer KEY, or X-Api-Key: KEY.")


def _is_open(scope: Scope) -> bool:
    path: str = scope["path"]
    return path in OPEN_PATHS or path.startswith(_OPEN_FOLDERS) or scope["method"] == "OPTIONS"


def _presented_key(headers: Headers) -> str:
    scheme, _, key = headers.get("authorization", "").partition(" ")
    bearer = key.strip() if scheme.lower() == "bearer" else ""
    return bearer or headers.get("x-api-key", "")
