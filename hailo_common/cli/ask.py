"""`hailo-ctl ask`: a question about pictures, answered by hailo-vision."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from hailo_common.cli.client import Client, NoAnswerError, Reply
from hailo_common.cli.framework import CommandError, add_root, complete_with, define, print_json, say
from hailo_common.cli.pictures import STDIN, data_url, picture_files, refusal, settings_for
from hailo_common.text import printable

_SERVICE = "hailo-vision"
_PATH = "/v1/chat/completions"
_HELP = """\
Ask hailo-vision on this machine a question about pictures: files, or - for standard input. Several are asked
about together. On a terminal the answer appears word by word.

  hailo-ctl ask photo.jpg "Is there a person at the door?"
  hailo-ctl ask before.jpg after.jpg "What has changed?"

Status: 1 when the service refuses the question or a picture, 75 when it does not answer now.
"""


def define_ask(parser: argparse.ArgumentParser) -> None:
    """`ask` and its options."""
    define(parser, _ask, _HELP)
    parser.add_argument("pictures", nargs="*", metavar="PICTURE", help="a file, or -")
    parser.add_argument("question", metavar="QUESTION", help="in plain words, as one argument")
    model = parser.add_argument("--model", metavar="NAME", help="one of the models that the service has")
    parser.add_argument("--max-tokens", type=int, metavar="N", help="most tokens of the answer")
    parser.add_argument("--json", action="store_true", help="print the service's whole reply as JSON")
    add_root(parser)
    complete_with(_models, model)


def _ask(args: argparse.Namespace) -> int:
    _check_words(args.pictures, args.question)
    _, settings = settings_for((_SERVICE,), args.root)
    images = [
        {"type": "image_url", "image_url": {"url": data_url(name, settings)}}
        for name in picture_files(args.pictures)
    ]
    content = [*images, {"type": "text", "text": args.question}]
    value: dict[str, Any] = {"messages": [{"role": "user", "content": content}]}
    value |= {"model": args.model} if args.model else {}
    value |= {"max_tokens": args.max_tokens} if args.max_tokens is not None else {}
    value["stream"] = sys.stdout.isatty() and not args.json
    client, timeout_s = Client(settings), settings.request_timeout_s + settings.queue_timeout_s
    try:
        for part in client.events(_PATH, value, timeout_s):
            _show(part, as_json=args.json)
    except NoAnswerError as error:
        raise CommandError(
            f"{error}; see: hailo-ctl status, systemctl status {_SERVICE}", os.EX_TEMPFAIL
        ) from None
    if value["stream"]:
        say()
    return 0


def _check_words(pictures: Sequence[str], question: str) -> None:
    """Raise CommandError where the question is missing, or came as several words."""
    if Path(question).is_file():
        raise CommandError(
            f"{question}: a file and no question; what is asked comes last, in quotes", os.EX_USAGE
        )
    lost = next((name for name in pictures if name != STDIN and not Path(name).exists()), None)
    if lost is not None and not Path(lost).suffix:
        raise CommandError(f"{lost}: no such file; a question of several words stands in quotes", os.EX_USAGE)


def _show(part: Reply | Mapping[str, Any], *, as_json: bool) -> None:
    """Print one part of the answer, or all of it; raises CommandError for a refusal."""
    if isinstance(part, Reply):
        if part.status != 200:
            raise refusal(part)
        if as_json:
            print_json(part.body)
        else:
            say(_text(part.body, "message"))
    elif "error" in part:
        raise refusal(Reply(500, part))
    else:
        text = _text(part, "delta")
        print("\n".join(map(printable, text.split("\n"))), end="", flush=True)


def _text(body: Mapping[str, Any], name: str) -> str:
    choices = body.get("choices")
    first = choices[0] if isinstance(choices, list) and choices and isinstance(choices[0], dict) else {}
    message = first.get(name)
    return str(message.get("content") or "") if isinstance(message, dict) else ""


def _models(_prefix: str, args: argparse.Namespace) -> Iterable[str]:
    """The names that the running service has; none where it does not answer at once."""
    try:
        _, settings = settings_for((_SERVICE,), args.root)
        entries = Client(settings).get("/v1/models", 1.0).body.get("data", ())
        return [str(entry["id"]) for entry in entries]
    except (CommandError, NoAnswerError, KeyError, TypeError):
        return []
