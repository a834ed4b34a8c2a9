"""API keys: who may come in when some are configured (`Authorization: Bearer KEY` or `X-Api-Key: KEY`)."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Iterable

from starlette.datastructures import Headers
from starlette.types import Scope

from hailo_common.errors import ServiceError, Unauthorized
from hailo_common.owner import EVERYBODY
from hailo_common.web.page.assets import PREFIX, wants_page

OPEN_PATHS = frozenset(("/health", "/health/ready", "/readyz"))
"""What a probe asks; it has no key."""
_OPEN_FOLDERS = ("/docs", "/openapi.json", PREFIX)
CLIENT = "x-hailo-client"
"""How a gateway names the client for whom it asks; believed of nobody else."""
_CLIENT = re.compile(r"[A-Za-z0-9._:-]{1,128}")
_OWNER_KEY = secrets.token_bytes(32)
"""Of this process: what an engine is told of an owner leads to no key, not even by guessing."""


class ApiKeys:
    """Any number of keys, kept only as digests, so that nothing that prints or logs this can show a key.

    `gateways` are keys, too; who sends one of these may ask for several clients, and names them.
    """

    def __init__(self, keys: Iterable[str] = (), gateways: Iterable[str] = ()) -> None:
        self._gateways = frozenset(_digest(key) for key in gateways)
        self._digests = tuple({*(_digest(key) for key in keys), *self._gateways})

    def __bool__(self) -> bool:
        return bool(self._digests)

    def __len__(self) -> int:
        return len(self._digests)

    def accepts(self, key: str) -> bool:
        """Whether `key` is one of them; takes the same time whichever of them matches."""
        presented = _digest(key)
        matches = [hmac.compare_digest(presented, digest) for digest in self._digests]
        return any(matches)

    def owner(self, key: str, client: str) -> str:
        """The owner of a request with a key that is accepted, and what it says of its client."""
        digest = _digest(key)
        named = client if digest in self._gateways and _CLIENT.fullmatch(client) else ""
        return hmac.new(_OWNER_KEY, digest + named.encode("ascii"), "sha256").hexdigest()[:32]


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()


def check_key(scope: Scope, keys: ApiKeys) -> ServiceError | None:
    """Why a request may not come in; None if it may, as every request may where there are no keys."""
    if not keys or _is_open(scope) or keys.accepts(_presented_key(Headers(scope=scope))):
        return None
    return Unauthorized("A valid API key is required: Authorization: Bearer KEY, or X-Api-Key: KEY.")


def owner_of(scope: Scope, keys: ApiKeys) -> str:
    """The owner of a request that `check_key` let in; without keys there is one."""
    if not keys or _is_open(scope):
        return EVERYBODY
    headers = Headers(scope=scope)
    return keys.owner(_presented_key(headers), headers.get(CLIENT, ""))


def _is_open(scope: Scope) -> bool:
    path: str = scope["path"]
    if path in OPEN_PATHS or path.startswith(_OPEN_FOLDERS) or scope["method"] == "OPTIONS":
        return True
    # The page itself asks for the key; a browser cannot send one with an address.
    return path == "/" and wants_page(Headers(scope=scope))


def _presented_key(headers: Headers) -> str:
    scheme, _, key = headers.get("authorization", "").partition(" ")
    bearer = key.strip() if scheme.lower() == "bearer" else ""
    return bearer or headers.get("x-api-key", "") or headers.get("api-key", "")
