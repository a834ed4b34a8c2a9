"""Small programs on the simulated machine, each in a process of its own, as the simulator wants it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

from tests.npu import Machine

ROOT_S = 120
"""No program may take longer, in seconds."""
VIOLATION = 86
_PRELUDE = '''
import json, os, sys, threading, time
import numpy as np
import hailo_platform as hp
from hailo_platform.genai import VLM
from hailo_platform.pyhailort import _pyhailort as raw, pyhailort as py

def say(value):
    print(json.dumps(value), flush=True)

def refused(call):
    """The names of what a call raises, the class first, and its text; None when it raises nothing."""
    try:
        call()
    except Exception as error:
        return [[kind.__name__ for kind in type(error).__mro__], " ".join(map(str, error.args))]

def vdevice(group="SHARED", **changes):
    params = hp.VDevice.create_params()
    params.group_id = group
    for name, value in changes.items():
        setattr(params, name, value)
    return hp.VDevice(params)
'''


def program(body: str) -> list[str]:
    """The command of a program."""
    return [sys.executable, "-c", _PRELUDE + body]


def environ(machine: Machine) -> dict[str, str]:
    """The whole environment of a process on that machine."""
    return {**os.environ, **machine.environ}


def run(machine: Machine, body: str, expected: int = 0) -> list[Any]:
    """What a program says, each as JSON; asserts its exit status."""
    made = subprocess.run(
        program(body), env=environ(machine), capture_output=True, text=True, timeout=ROOT_S, check=False
    )
    assert made.returncode == expected, made.stderr
    return [json.loads(line) for line in made.stdout.splitlines()]


def start(machine: Machine, body: str) -> subprocess.Popen[str]:
    """A program that goes on; read what it says from `stdout`. The caller ends it."""
    return subprocess.Popen(
        program(body), env=environ(machine), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
