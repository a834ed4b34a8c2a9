"""llama.cpp's own server, from the wheel `xllamacpp`, as a process of its own.

`python -m tests.bench.peer_server FOLDER PORT CONTEXT SLOTS`; all else is its default.
"""

from __future__ import annotations

import signal
import sys

import xllamacpp


def main() -> None:
    """Serve until a signal comes."""
    folder, port, context, slots = sys.argv[1:]
    params = xllamacpp.CommonParams()
    params.model.path = f"{folder}/model.gguf"
    params.mmproj.path = f"{folder}/mmproj.gguf"
    params.hostnames = ["127.0.0.1"]
    params.port = int(port)
    params.n_ctx = int(context) * int(slots)
    params.n_parallel = int(slots)
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
    params.verbosity = 0
    server = xllamacpp.Server(params)
    signal.sigwait({signal.SIGTERM, signal.SIGINT})
    del server


if __name__ == "__main__":
    main()
