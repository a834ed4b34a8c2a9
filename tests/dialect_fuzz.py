"""Requests by the hundred thousand over all dialects of both services: every answer is a documented one.

    python -m tests.dialect_fuzz --seconds 700 --seed 1

Each request begins as one that is answered, of a random dialect, and is then damaged: values replaced, taken
away, nested, taken from another dialect's request; bytes changed; content types, encodings, methods and
addresses that do not belong together. The services run over fake engines, of which one holds answers to a
form and one does not. A status of 500 or more that `DOCUMENTED` does not name, an error that is not in the
dialect's form, a traceback in the log, a service that is not well at the end, or too large a process: all are
printed, and the exit status is 1.
"""

from __future__ import annotations

import argparse
import base64
import collections
import copy
import gzip
import http.client
import json
import random
import sys
import threading
import time
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hailo_vision.protocol import call_text
from tests.hailo_florence.api.conftest import red_circle
from tests.hailo_florence.api.running import FAKE, FAKE_VISION, Running, started

MODEL = "qwen2-vl-2b-instruct"
MOST_MIB = 65
CLIENTS = 6
DOCUMENTED = {
    (501, "not_supported"),
    (501, "task_not_supported"),
    (502, "invalid_structured_output"),
    (503, "queue_full"),
}
"""Statuses of 500 and more that say what a client asked for cannot be had."""
_OLLAMAS = {
    "This service answers questions about images": "not_supported",
    "The model did not produce the JSON that response_format asks for": "invalid_structured_output",
    "The model did not call a function as tools and tool_choice ask for": "invalid_structured_output",
}
"""The codes of errors that have no code in Ollama's form, by how they begin."""
_PICTURE = base64.b64encode(red_circle((48, 32), "PNG")).decode()
_URL = f"data:image/png;base64,{_PICTURE}"
_SCHEMA = {"type": "object", "properties": {"on": {"type": "boolean"}}, "required": ["on"]}
_FUNCTION = {"name": "lamp", "description": "A lamp.", "parameters": _SCHEMA}
_TOOL = {"type": "function", "function": _FUNCTION}
_CALL = {"id": "c1", "type": "function", "function": {"name": "lamp", "arguments": '{"on": true}'}}
_IMAGE = {"type": "image_url", "image_url": {"url": _URL}}
_SOURCE = {"type": "base64", "media_type": "image/png", "data": _PICTURE}
_SAID = json.dumps({"words": [call_text("lamp", '{"on": true}')]})
_TALK = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": [_IMAGE, {"type": "text", "text": "What?"}]},
    {"role": "assistant", "content": None, "tool_calls": [_CALL]},
    {"role": "tool", "tool_call_id": "c1", "content": "done"},
    {"role": "user", "content": _SAID},
]
_ITEMS = [
    {
        "role": "user",
        "content": [{"type": "input_image", "image_url": _URL}, {"type": "input_text", "text": "a"}],
    },
    {"type": "function_call", "call_id": "c1", "name": "lamp", "arguments": '{"on": true}'},
    {"type": "function_call_output", "call_id": "c1", "output": "done"},
]
_BLOCKS = [
    {"role": "user", "content": [{"type": "image", "source": _SOURCE}, {"type": "text", "text": "What?"}]},
    {
        "role": "assistant",
        "content": [{"type": "tool_use", "id": "t1", "name": "lamp", "input": {"on": True}}],
    },
    {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t1", "content": "done"}]},
]
_RPC = {"jsonrpc": "2.0", "id": 1}
_ASKED = {"name": "ask_image", "arguments": {"image": _URL, "question": "What?"}}
_FORMAT = {"type": "json_schema", "json_schema": {"name": "x", "schema": _SCHEMA, "strict": True}}
VISION: dict[str, Any] = {
    "/v1/chat/completions": {
        "model": MODEL,
        "messages": _TALK,
        "tools": [_TOOL],
        "max_tokens": 9,
        "stream": False,
    },
    "/chat/completions/": {
        "messages": _TALK,
        "response_format": _FORMAT,
        "temperature": 0.5,
        "seed": 1,
        "stop": ["x"],
    },
    "/openai/deployments/qwen2-vl-2b-instruct/chat/completions": {
        "messages": _TALK,
        "stream": True,
        "tool_choice": "auto",
    },
    "/v1/completions": {"model": MODEL, "prompt": "Hi", "max_tokens": 5, "images": [_PICTURE]},
    "/v1/vision/analyze": {"prompt": "What?", "images": [_URL, {"url": _URL}], "max_tokens": 5},
    "/v1/responses": {
        "model": MODEL,
        "input": _ITEMS,
        "tools": [{"type": "function", **_FUNCTION}],
        "instructions": "Be brief.",
        "text": {"format": {"type": "json_schema", "name": "x", "schema": _SCHEMA}},
        "max_output_tokens": 9,
        "store": True,
        "previous_response_id": None,
        "metadata": {"a": "b"},
    },
    "/v1/messages": {
        "model": MODEL,
        "max_tokens": 9,
        "system": "Be brief.",
        "messages": _BLOCKS,
        "tools": [{"name": "lamp", "input_schema": _SCHEMA}],
        "tool_choice": {"type": "auto"},
    },
    "/v1/messages/count_tokens": {"model": MODEL, "messages": _BLOCKS},
    "/api/chat": {
        "model": MODEL,
        "messages": [
            {"role": "user", "content": "What?", "images": [_PICTURE]},
            {"role": "tool", "content": "x"},
        ],
        "stream": False,
        "format": _SCHEMA,
        "options": {"num_predict": 5, "temperature": 0.1, "stop": ["x"], "seed": 3},
        "keep_alive": "5m",
    },
    "/api/generate": {
        "model": MODEL,
        "prompt": "What?",
        "images": [_PICTURE],
        "system": "Be brief.",
        "stream": True,
    },
    "/api/show": {"model": MODEL},
    "/api/pull": {"model": MODEL, "stream": False},
    "/api/embed": {"model": MODEL, "input": "x"},
    "/mcp": {**_RPC, "method": "tools/call", "params": _ASKED},
    "/v1/embeddings": {"input": "x"},
    "/props": {},
}
FLORENCE: dict[str, Any] = {
    "/v1/caption": {"image": _PICTURE, "max_length": 9, "temperature": 0},
    "/v1/vqa": {"image": _URL, "question": "Is it red?"},
    "/v1/detect": {"image": _URL},
    "/v1/ocr": {"image": _PICTURE},
    "/v1/ground": {"image": _PICTURE, "text": "a circle"},
    "/mcp": {
        **_RPC,
        "method": "tools/call",
        "params": {"name": "describe_image", "arguments": {"image": _URL}},
    },
    "/v1/chat/completions": {"messages": _TALK},
}
_ODD: tuple[Any, ...] = (
    *(
        None,
        True,
        False,
        0,
        1,
        -1,
        2,
        1.0,
        0.5,
        -1e308,
        1e308,
        2**63,
        -(2**63) - 1,
        10**30,
        "",
        " ",
        "x",
        "0",
    ),
    *("true", "auto", "none", "required", "text", "image", "user", "tool", "stop", MODEL, _PICTURE, _URL),
    *(
        "\x00",
        "\ud800",
        "<|im_end|>",
        "é" * 40,
        "a" * 5000,
        "[" * 300,
        "file:///etc/passwd",
        "https://x/a.jpg",
    ),
    *("data:image/png;base64,", "data:,", "resp_x", "c1", "5m", "-1", "NaN", "{}", '{"on":'),
    *(
        [],
        {},
        [[]],
        [{}],
        {"": {}},
        [None] * 50,
        {"type": "x"},
        {"$ref": "#"},
        {"not": {}},
        {"a": {"b": {"c": [1]}}},
    ),
    *(_SCHEMA, _TOOL, _CALL, _IMAGE, _TALK, _ITEMS, _BLOCKS, _SOURCE, {"type": "json_object"}, _FORMAT),
)
_MEDIA: tuple[str, ...] = (
    "application/json",
    "text/plain",
    "application/x-www-form-urlencoded",
    "multipart/form-data",
    "image/png",
)
_MEDIA += (
    "multipart/form-data; boundary=b",
    "application/json; charset=utf-16",
    "",
    "x",
    "application/json;",
)


class Dice(random.Random):
    """Chooses what is done to a request."""

    def damaged(self, body: Any) -> Any:
        """A body after one to four changes of its tree; `body` stays as it is."""
        made = copy.deepcopy(body)
        for _ in range(self.randrange(5)):
            self._change(made)
        return made

    def _change(self, root: Any) -> None:
        nodes = [root]
        for node in nodes:
            inner = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
            nodes += [each for each in inner if isinstance(each, dict | list)]
            if len(nodes) > 400:
                break
        node = self.choice(nodes)
        if isinstance(node, dict):
            self._change_object(node)
        elif node:
            at = self.randrange(len(node))
            kind = self.randrange(4)
            if kind == 0:
                del node[at]
            elif kind == 1:
                node[at] = self.odd()
            elif kind == 2:
                node.insert(at, self.odd())
            else:
                node.extend(copy.deepcopy(node[at:]) * self.choice((1, 1, 30)))
                del node[3000:]

    def _change_object(self, node: dict[str, Any]) -> None:
        kind = self.randrange(4)
        if kind == 0 or not node:
            other = self.choice((*VISION.values(), *FLORENCE.values()))
            if other:
                name = self.choice(sorted(other))
                node[name] = copy.deepcopy(other[name])
            return
        name = self.choice(sorted(node))
        if kind == 1:
            del node[name]
        elif kind == 2:
            node[name] = self.odd()
        else:
            node[name] = self.choice(([node[name]], {name: node[name]}, {"type": name, name: node[name]}))

    def odd(self) -> Any:
        return copy.deepcopy(self.choice(_ODD))

    def bytes_of(self, body: Any) -> bytes:
        """The JSON, in one case of eight with some of its bytes changed."""
        data = bytearray(json.dumps(body, ensure_ascii=self.random() < 0.8).encode("utf-8", "surrogatepass"))
        if self.random() < 0.125 and data:
            for _ in range(self.randrange(1, 6)):
                at = self.randrange(len(data) + 1)
                data[at : at + self.randrange(3)] = self.randbytes(self.randrange(3))
        return bytes(data)

    def request(self, table: dict[str, Any]) -> tuple[str, str, bytes, dict[str, str]]:
        """Method, path, body and headers."""
        path = self.choice(sorted(table))
        data = self.bytes_of(self.damaged(table[path]))
        headers = {"Content-Type": "application/json"}
        what = self.random()
        if what < 0.03:
            headers["Content-Type"] = self.choice(_MEDIA)
        elif what < 0.06:
            headers["Content-Encoding"] = self.choice(("gzip", "br", "identity", "gzip, gzip"))
            data = gzip.compress(data, 1) if self.random() < 0.7 else data
        elif what < 0.08:
            path = self.choice(
                (f"/v1{path}", f"{path}//", path[1:], f"{path}?a=%ff", f"{path}/x", path.upper())
            )
            path = path if path.startswith("/") else f"/{path}"
        method = "POST" if self.random() < 0.97 else self.choice(("GET", "PUT", "DELETE", "PATCH", "OPTIONS"))
        if self.random() < 0.3:
            headers["X-Api-Key"] = "any"
        return method, path, data, headers


@dataclass
class Seen:
    """What came of all requests."""

    statuses: collections.Counter[str] = field(default_factory=collections.Counter)
    wrong: list[str] = field(default_factory=list)
    slowest: float = 0.0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def broke(self, path: str, sent: bytes, error: Exception) -> None:
        """Count a connection that ended without an answer, which a refused body may make it."""
        with self.lock:
            self.statuses[f"broken {type(error).__name__}"] += 1
            if not isinstance(error, ConnectionError | http.client.RemoteDisconnected):
                self.wrong.append(f"{path}: {error!r} to {_short(sent)}")

    def note(self, path: str, status: int, data: bytes, sent: bytes, seconds: float) -> None:
        """Count an answer, and keep it where it is none that is documented."""
        code = code_of(data) if status >= 400 else ""
        shaped = status < 400 or code is not None or not data
        documented = status < 500 or (status, code) in DOCUMENTED
        with self.lock:
            self.statuses[f"{status} {code}" if status >= 500 else str(status)] += 1
            self.slowest = max(self.slowest, seconds)
            if not (documented and shaped) and len(self.wrong) < 50:
                self.wrong.append(f"{path}: {status} {data[:300]!r} to {_short(sent)}")


def _short(sent: bytes) -> str:
    """A request for people, without its pictures."""
    return repr(sent.replace(_PICTURE.encode(), b"PICTURE")[:600])


def code_of(data: bytes) -> str | None:
    """The code of an error in any dialect's form, "" where that has none; None for what is no error."""
    try:
        value = json.loads(data)
    except ValueError:
        return None
    error = value.get("error") if isinstance(value, dict) else None
    if isinstance(error, dict):
        return str(error.get("code") or error.get("type") or "")
    if isinstance(error, str):
        # Florence's errors have a code there, Ollama's a text.
        return error if "message" in value else _OLLAMAS.get(error.partition(",")[0].partition(";")[0], "")
    return None


def drive(running: Running, table: dict[str, Any], seed: str, end: float, seen: Seen) -> None:
    """Send requests over one connection after the other until `end`, by the monotonic clock."""
    dice = Dice(seed)
    with closing(http.client.HTTPConnection("127.0.0.1", running.port, timeout=60)) as connection:
        while time.monotonic() < end:
            method, path, data, headers = dice.request(table)
            began = time.monotonic()
            try:
                connection.request(method, path, data, headers)
                reply = connection.getresponse()
                answer = reply.read()
            except (OSError, http.client.HTTPException) as error:
                connection.close()
                seen.broke(path, data, error)
                continue
            seen.note(path, reply.status, answer, data, time.monotonic() - began)


def resident_mib(running: Running) -> float:
    """Of the HTTP process."""
    status = Path(f"/proc/{running.popen.pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) / 1024


def judged(name: str, running: Running, seen: Seen) -> list[str]:
    """What is wrong with a service after all that."""
    wrong = list(seen.wrong)
    if "Traceback" in running.log:
        wrong.append(f"{name}: a traceback in its log: {running.log.partition('Traceback')[2][:1500]}")
    health = running.health()
    if health["status"] != "healthy" or health["queue"]["waiting"]:
        wrong.append(f"{name}: {health}")
    if (held := resident_mib(running)) > MOST_MIB:
        wrong.append(f"{name}: the HTTP process holds {held:.0f} MiB")
    total = sum(seen.statuses.values())
    held = resident_mib(running)
    print(f"{name}: {total} requests, {held:.0f} MiB, slowest {seen.slowest:.2f} s, {dict(seen.statuses)}")
    return wrong


def main() -> int:
    """Run it all."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", default="1")
    args = parser.parse_args()
    settings = ("--settings", json.dumps({"queue_size": 64}))
    services: dict[str, tuple[tuple[str, ...], dict[str, Any]]] = {
        "hailo-vision": ((*FAKE_VISION, *settings), VISION),
        "hailo-vision, constrained": (
            (*FAKE_VISION, *settings, "--options", '{"constrained": true}'),
            VISION,
        ),
        "hailo-florence": ((*FAKE, *settings), FLORENCE),
    }
    wrong: list[str] = []
    with ExitStack() as stack:
        runs = {name: stack.enter_context(started(words)) for name, (words, _) in services.items()}
        seen = {name: Seen() for name in services}
        end = time.monotonic() + args.seconds
        threads = [
            threading.Thread(
                target=drive,
                args=(runs[name], table, f"{args.seed} {name} {number}", end, seen[name]),
            )
            for name, (_, table) in services.items()
            for number in range(CLIENTS if "florence" not in name else CLIENTS // 2)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for name in services:
            wrong += judged(name, runs[name], seen[name])
    print("\n".join(wrong) or "nothing undocumented")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
