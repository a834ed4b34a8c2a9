"""`hailo-ctl caption`: a description of each picture, of whole folders too."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hailo_common.cli.client import Client, NoAnswerError, Reply
from hailo_common.cli.framework import CommandError, add_root, define, say, warn
from hailo_common.cli.pictures import data_url, picture_files, refusal, settings_for
from hailo_common.config.common_keys import CommonSettings

_FLORENCE, _VISION = "hailo-florence", "hailo-vision"
_DETAILS = ("short", "detailed", "more")
_TRIES, _MOST_WAIT_S = 20, 30.0
_HELP = """\
Describe pictures: files, folders with all that is below them, or - for standard input. hailo-florence on
this machine answers, or hailo-vision where that is not installed. Each line is a file's name and its
description; with --json it is an object, which programs can read.

  hailo-ctl caption photo.jpg
  hailo-ctl caption --json ~/Pictures >captions.jsonl

A picture that cannot be described is told on standard error, and the others go on. Status: 1 when there was
such a one, 75 when the service does not answer.
"""


def define_caption(parser: argparse.ArgumentParser) -> None:
    """`caption` and its options."""
    define(parser, _caption, _HELP)
    parser.add_argument("pictures", nargs="+", metavar="PICTURE", help="a file, a folder, or -")
    parser.add_argument("--detail", choices=_DETAILS, default="short", help="how much is told (short)")
    parser.add_argument("--json", action="store_true", help="print a JSON object a line, for each picture")
    add_root(parser)


def _caption(args: argparse.Namespace) -> int:
    service, settings = settings_for((_FLORENCE, _VISION), args.root)
    names = picture_files(args.pictures)
    if not names:
        raise CommandError("there is no picture in these folders", 1)
    client, failed = Client(settings), 0
    with _Progress(len(names)) as progress:
        for name in names:
            progress.show(name)
            try:
                found = _one(client, service, settings, name, args.detail)
            except CommandError as error:
                if error.status == os.EX_TEMPFAIL:
                    raise
                failed += 1
                found = {"file": name, "error": str(error)}
            progress.clear()
            _print(found, as_json=args.json)
    return 1 if failed else 0


def _print(found: Mapping[str, Any], *, as_json: bool) -> None:
    if as_json:
        say(json.dumps(found, ensure_ascii=False))
    elif "error" in found:
        # Errors about a file begin with its name.
        text = found["error"]
        warn(text if text.startswith(f"{found['file']}: ") else f"{found['file']}: {text}")
    else:
        say(f"{found['file']}: {found['caption']}")


def _one(client: Client, service: str, settings: CommonSettings, name: str, detail: str) -> Mapping[str, Any]:
    path, value = _request(service, data_url(name, settings), detail)
    reply = _patient(client, path, value, settings.request_timeout_s + settings.queue_timeout_s)
    if reply.status != 200:
        raise refusal(reply)
    results = reply.body.get("results")
    entry: Mapping[str, Any] = results[0] if isinstance(results, list) and results else reply.body
    return {
        "file": name,
        "caption": str(entry.get("caption") or entry.get("analysis") or ""),
        "model": reply.body.get("model"),
        "inference_time_ms": entry.get("inference_time_ms"),
    }


def _request(service: str, image: str, detail: str) -> tuple[str, dict[str, Any]]:
    if service == _FLORENCE:
        return "/v1/caption", {"image": image, "detail": detail}
    prompt = "Describe the image." if detail == "short" else "Describe the image in detail."
    return "/v1/vision/analyze", {"prompt": prompt, "images": [image]}


def _patient(client: Client, path: str, value: Mapping[str, Any], timeout_s: float) -> Reply:
    """The reply; a service that is loading or busy with others is asked again for a while."""
    for left in reversed(range(_TRIES)):
        try:
            reply = client.post(path, value, timeout_s)
        except NoAnswerError as error:
            raise CommandError(f"{error}; see: hailo-ctl status", os.EX_TEMPFAIL) from None
        if reply.status not in (429, 503) or not left:
            break
        time.sleep(min(reply.retry_after or 1.0, _MOST_WAIT_S))
    return reply


class _Progress:
    """How far it is, on one line of a terminal's standard error; nothing where there is no terminal."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._done = 0
        self._shown = total > 1 and sys.stderr.isatty()

    def __enter__(self) -> _Progress:
        return self

    def __exit__(self, *_: object) -> None:
        self.clear()

    def show(self, name: str) -> None:
        """Say which picture is looked at."""
        self._done += 1
        if self._shown:
            self._write(f"{self._done}/{self._total} {ascii(Path(name).name)[1:-1][:60]}")

    def clear(self) -> None:
        """Leave the line to others."""
        if self._shown:
            self._write("")

    def _write(self, text: str) -> None:
        sys.stderr.write(f"\r\033[K{text}")
        sys.stderr.flush()
