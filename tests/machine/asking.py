"""What tests ask the services of a machine, and what they find."""

from __future__ import annotations

import json
from typing import Any

from tests.machine.machine import Machine

PORTS = {"hailo-vision": 11435, "hailo-florence": 11438}
CAPTION = "a red circle to the left of a blue square"
"""What docs/sample.jpg shows, in the demo model's words."""
_CHAT = {
    "model": "qwen2-vl-2b-instruct",
    "messages": [
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "What colour is the circle?"},
                {"type": "image_url", "image_url": {"url": "PICTURE"}},
            ],
        }
    ],
}


def get(machine: Machine, port: int, path: str) -> tuple[int, Any]:
    """Status and JSON of a page; status 0 where nobody answers."""
    done = machine.run(f"curl -sS -m 60 -w '\\n%{{http_code}}' http://127.0.0.1:{port}{path}", check=False)
    if done.returncode:
        return 0, done.stderr
    body, _, status = done.stdout.rpartition("\n")
    return int(status), json.loads(body)


def answers(machine: Machine, port: int) -> bool:
    """True while somebody answers there."""
    return get(machine, port, "/health")[0] != 0


def ready(machine: Machine, port: int) -> bool:
    """True when an answer can be given."""
    return get(machine, port, "/health/ready")[0] == 200


def caption(machine: Machine, port: int = PORTS["hailo-florence"], header: str = "X-Nothing: 1") -> Any:
    """The answer to docs/sample.jpg."""
    line = f"curl -sS -m 60 -H '{header}' -F image=@/root/sample.jpg http://127.0.0.1:{port}/v1/caption"
    return json.loads(machine.run(line).stdout)


def chat(machine: Machine, port: int = PORTS["hailo-vision"]) -> str:
    """The answer to a question about docs/sample.jpg."""
    machine.file("/root/chat.json").write_text(json.dumps(_CHAT), encoding="utf-8")
    return _answered(machine, port)


def _answered(machine: Machine, port: int) -> str:
    answer = machine.run(
        "picture=data:image/jpeg\\;base64,$(base64 -w 0 /root/sample.jpg) && "
        'sed "s|PICTURE|$picture|" /root/chat.json | '
        "curl -sS -m 60 -H 'Content-Type: application/json' -d @- "
        f"http://127.0.0.1:{port}/v1/chat/completions"
    )
    return str(json.loads(answer.stdout)["choices"][0]["message"]["content"])


def described(machine: Machine, model: str) -> str:
    """A few tokens of hailo-vision about the same picture, from a model by its name."""
    asked = {**_CHAT, "model": model, "max_tokens": 12}
    machine.file("/root/chat.json").write_text(json.dumps(asked), encoding="utf-8")
    return _answered(machine, PORTS["hailo-vision"])


def preset(machine: Machine, *answers: str) -> None:
    """Change settings by dpkg-reconfigure, at a terminal: in an editor with the questions.

    `answers` are `NAME=VALUE`, the first one's package is reconfigured.
    """
    package = answers[0].partition("/")[0]
    edits = [
        f's|^{name}=.*|{name}="{value}"|' for name, _, value in (each.partition("=") for each in answers)
    ]
    script = "#!/bin/sh\nsed -i" + "".join(f" -e '{edit}'" for edit in edits) + ' "$1"\n'
    editor = machine.file("/root/editor")
    editor.write_text(script, encoding="utf-8")
    editor.chmod(0o755)
    command = f"DEBIAN_FRONTEND=editor EDITOR=/root/editor dpkg-reconfigure -plow {package}"
    machine.run(f"TERM=dumb script --quiet --return --command '{command}' /root/typescript")
