"""The lines with curl in docs/clients.md, as they stand there but for host and ports."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.clients.conftest import RED, drawn
from tests.hailo_florence.api.running import FLORENCE, Running, started

PAGE = (Path(__file__).parents[2] / "docs/clients.md").read_text(encoding="utf-8")
BLOCKS = [re.sub("(?m)^    ", "", block) for block in re.findall(r"(?m)((?:^    .*\n)+)", PAGE)]
# A block of its own lines, or one command over several.
COMMANDS = [
    command
    for block in BLOCKS
    for command in ([block] if block.startswith("printf") else block.splitlines())
    if "curl " in command
]
pytestmark = pytest.mark.skipif(not shutil.which("curl"), reason="curl is not installed")
WORDS: dict[str, Any] = {
    "/v1/vision/analyze": lambda said: said["results"][0]["analysis"],
    "/v1/caption": lambda said: said["caption"],
    "/v1/chat/completions": lambda said: said["choices"][0]["message"]["content"],
    "/v1/responses": lambda said: said["output"][0]["content"][0]["text"],
    "/v1/messages": lambda said: said["content"][0]["text"],
    "/api/chat": lambda said: said["message"]["content"],
}
"""Where the answer stands in what comes back from each address."""


@pytest.fixture(scope="module")
def florence() -> Iterator[Running]:
    """The other service, which some of them ask."""
    with started(FLORENCE) as running:
        yield running


def test_every_line_with_curl_is_tried() -> None:
    assert len(COMMANDS) == sum("curl " in line for line in PAGE.splitlines() if line.startswith("    "))
    assert {re.search(r"HOST:\d+(\S+)", command)[1] for command in COMMANDS} == WORDS.keys()  # type: ignore[index]


@pytest.mark.parametrize("command", COMMANDS, ids=lambda text: text.split("HOST")[1].strip())
def test_it_gets_a_true_answer(command: str, vision: Running, florence: Running, tmp_path: Path) -> None:
    (tmp_path / "photo.png").write_bytes(drawn(("circle", RED, 240)))
    path = command.split("HOST")[1].strip()[6:]
    for address, port in (("HOST:11435", vision.port), ("HOST:11438", florence.port)):
        command = command.replace(address, f"127.0.0.1:{port}")
    done = subprocess.run(
        ["sh", "-c", command.replace("curl ", "curl --silent --show-error ")],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "red" in WORDS[path](json.loads(done.stdout))
