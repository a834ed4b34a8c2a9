"""`POST /mcp`: one message in, its answer out, as JSON or, where it takes long, as a stream."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response

from hailo_common.errors import ServiceError
from hailo_common.web.body import read_json, release_body, until_disconnect
from hailo_common.web.mcp.errors import json_rpc_format
from hailo_common.web.mcp.late import SSE, give_up, late_answer
from hailo_common.web.mcp.messages import Message, enveloped, read_message
from hailo_common.web.mcp.server import McpServer
from hailo_common.web.mcp.tools import ToolCall
from hailo_common.web.state import request_state_of, server_state_of

PATH = "/mcp"


def add_mcp(app: FastAPI, server: McpServer) -> None:
    """Add the route. There are no sessions and nothing is sent unasked, so it takes POST alone."""
    app.state.mcp = server
    server_state_of(app).error_formats[PATH] = json_rpc_format
    server_state_of(app).aliases |= {f"/v1{PATH}": PATH}
    app.add_api_route(PATH, _post, methods=["POST"], response_model=None, include_in_schema=False)


async def _post(request: Request) -> Response:
    server: McpServer = request.app.state.mcp
    message = read_message(await read_json(request, limit=server.limit), request.headers)
    if message is None:
        return Response(status_code=202)
    if message.method == "tools/call":
        return await _call(request, server, message)
    return JSONResponse(enveloped(message, server.answer(message)))


async def _call(request: Request, server: McpServer, message: Message) -> Response:
    tool, arguments = server.read(message)
    try:
        call = tool.read(arguments)
    except ServiceError as error:
        return JSONResponse(enveloped(message, _failed(request, server, message, error)))
    del arguments
    release_body(request)
    began = time.monotonic()
    work = asyncio.create_task(_result(request, server, message, call))
    # A task that is cancelled before it began runs no `finally` of its own.
    work.add_done_callback(lambda _: call.close())
    try:
        quick = server.quiet_s if SSE in request.headers.get("accept", "") else None
        await until_disconnect(request, asyncio.wait((work,), timeout=quick))
    except BaseException:
        await give_up(work)
        raise
    if work.done():
        return JSONResponse(enveloped(message, work.result()))
    return late_answer(message, work, began=began, every_s=server.quiet_s)


async def _result(request: Request, server: McpServer, message: Message, call: ToolCall) -> dict[str, Any]:
    try:
        return server.answered(message, await call.run())
    except ServiceError as error:
        return _failed(request, server, message, error)


def _failed(request: Request, server: McpServer, message: Message, error: ServiceError) -> dict[str, Any]:
    """The result that tells of an error of the tool, which is counted and logged as any other."""
    request_state_of(request.scope).code = error.code
    return server.failed(message, error)
