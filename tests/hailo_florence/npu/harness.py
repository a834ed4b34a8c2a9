"""One Florence engine in a process of its own that finds the simulated chip, driven line by line.

`python -m tests.hailo_florence.npu.harness OPTIONS` answers each line of standard input with one
of JSON. Without the HTTP process and the spawning of engines, hundreds of faults can be tried in a minute.
"""

from __future__ import annotations

import gc
import json
import os
import select
import subprocess
import sys
from collections.abc import Mapping
from types import TracebackType
from typing import Any

from hailo_common.engine.child import error_to_json
from hailo_common.engine.job import error_from_json
from hailo_common.errors import ServiceError
from hailo_common.web.errors import flat_format, http_status
from hailo_florence.engine import FlorenceEngine, make_engine
from tests.hailo_florence import demo
from tests.hailo_florence.cases import Case, ask

ANSWER_S = 120.0
QUESTION = "What color is the circle?"


def case(image: int, question: str | None = None) -> Case:
    """A request about one of the golden pictures."""
    return Case(image, question, 30, None, "as exported")


class Harness:
    """The test's end; a context manager."""

    def __init__(self, environ: Mapping[str, str], **options: Any) -> None:
        """`options` are the engine's."""
        self._popen = subprocess.Popen(
            [sys.executable, "-m", "tests.hailo_florence.npu.harness", json.dumps(options)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, **environ},
            text=True,
        )

    def ask(self, do: str, **more: Any) -> dict[str, Any]:
        """`load`, `run` (with `image` and `question`), `vitals` or `close`: the answer, or `error`."""
        stdin, stdout = self._popen.stdin, self._popen.stdout
        assert stdin is not None
        assert stdout is not None
        stdin.write(json.dumps({"do": do, **more}) + "\n")
        stdin.flush()
        ready, _, _ = select.select([stdout], [], [], ANSWER_S)
        assert ready, f"no answer to {do} within {ANSWER_S:g} s"
        line = stdout.readline()
        assert line, f"the engine ended with {self._popen.wait(10)} at {do}"
        answer: dict[str, Any] = json.loads(line)
        return answer

    def __enter__(self) -> Harness:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._popen.kill()
        self._popen.communicate()


def told(answer: Mapping[str, Any]) -> tuple[int, dict[str, Any]]:
    """HTTP status and body that a client would get for an answer's error."""
    error = error_from_json(answer["error"])
    status = http_status(error)
    return status, flat_format(status, error)


def main() -> None:
    """Serve until standard input ends."""
    engine = make_engine(json.loads(sys.argv[1]))
    images = list(demo.images())
    for line in sys.stdin:
        try:
            answer = _do(engine, json.loads(line), images)
        except ServiceError as error:
            answer = {"error": error_to_json(error)}
        except Exception as error:
            answer = {"failed": type(error).__name__, "message": str(error)}
        print(json.dumps(answer), flush=True)


def _do(engine: FlorenceEngine, order: Mapping[str, Any], images: list[Any]) -> dict[str, Any]:
    if order["do"] == "load":
        return engine.load().to_json()
    if order["do"] == "vitals":
        return engine.vitals()
    if order["do"] == "close":
        engine.close()
        gc.collect()  # tracebacks hold what failed, and what they hold is large
        return {}
    request = {**case(order["image"], order.get("question")).request(), **order.get("more", {})}
    tokens, result = ask(engine, request, images[order["image"]])
    return {"tokens": tokens, "text": result["text"], "finish_reason": result["finish_reason"]}


if __name__ == "__main__":
    main()
