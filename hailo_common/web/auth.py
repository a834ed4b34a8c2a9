"""Who may come in when keys are configured: `Authorization: Bearer KEY` or `X-Api-Key: KEY`."""

from __future__ import annotations

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from hailo_common.errors import Unauthorized
from hailo_common.web.errors import render
from hailo_common.web.state import ServerState, request_state_of

OPEN_PATHS = frozenset(("/health", "/health/ready", "/readyz"))
"""What a probe asks; it has no key."""
_OPEN_FOLDERS = ("/docs", "/openapi.json")


class RequireApiKey:
    """ASGI middleware: answers 401 before anything of the request is read. Without keys it does nothing."""

    def __init__(self, app: ASGIApp, *, server_state: ServerState) -> None:
        self.app = app
        self._server_state = server_state
        self._keys = server_state.settings.keys

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer 401."""
        if scope["type"] != "http" or not self._keys or self._is_open(scope) or self._has_key(scope):
            await self.app(scope, receive, send)
            return
        error = Unauthorized("A valid API key is required: Authorization: Bearer KEY, or X-Api-Key: KEY.")
        request_state_of(scope).code = error.code
        await render(self._server_state.shape, error)(scope, receive, send)

    def _is_open(self, scope: Scope) -> bool:
        path: str = scope["path"]
        return path in OPEN_PATHS or path.startswith(_OPEN_FOLDERS) or scope["method"] == "OPTIONS"

    def _has_key(self, scope: Scope) -> bool:
        headers = Headers(scope=scope)
        scheme, _, key = headers.get("authorization", "").partition(" ")
        bearer = key.strip() if scheme.lower() == "bearer" else ""
        return self._keys.accepts(bearer or headers.get("x-api-key", ""))
