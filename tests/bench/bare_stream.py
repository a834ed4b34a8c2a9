"""The least that streams: a bare ASGI application that writes the same chunks, one `send` each."""

from __future__ import annotations

import socket
import sys
from typing import Any

import uvicorn

from hailo_vision.api.openai.answers import Completion, ResponseMeta


def make_app(count: int, word: str) -> Any:
    """An application that answers everything with `count` chunks of `word`."""
    piece = Completion(ResponseMeta("fake-vl", "fp_aceef49947f4", "chatcmpl-1"), include_usage=False).texts(
        [word]
    )
    start = {
        "type": "http.response.start",
        "status": 200,
        "headers": [(b"content-type", b"text/event-stream")],
    }

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        await receive()
        await send(start)
        for _ in range(count):
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    return app


def main(count: int, word: str) -> None:
    """Serve on a free port of 127.0.0.1, which is printed."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(64)
        print(listener.getsockname()[1], flush=True)
        config = uvicorn.Config(
            make_app(count, word), http="h11", ws="none", loop="asyncio", lifespan="off", log_config=None
        )
        uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
