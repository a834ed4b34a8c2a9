"""Run inside a machine: asks a gateway until a file appears, then prints how each request ended.

python3 load.py URL CLIENTS STOP_FILE PICTURE
"""

from __future__ import annotations

import http.client
import json
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from urllib.parse import urlsplit

LONGEST_S = 300
PAUSE_S = 0.25
"""After each answer: clients without a rest leave a small machine no time for an upgrade."""


def main() -> None:
    """Print the counts as JSON."""
    url, clients, stop, image = sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]), Path(sys.argv[4])
    counts: Counter[str] = Counter()
    lock = threading.Lock()

    def client() -> None:
        while not stop.exists():
            ended = once(url, image.read_bytes())
            with lock:
                counts[ended] += 1
            time.sleep(PAUSE_S)

    threads = [threading.Thread(target=client) for _ in range(clients)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        # What was answered until now, for who wants to know that the load runs.
        stop.with_suffix(".now").write_text(json.dumps(counts))
        time.sleep(0.5)
    print(json.dumps(counts))


def once(url: str, image: bytes) -> str:
    """How one request ended: its status, or the error."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=LONGEST_S)
    boundary = "7MA4YWxkTrZu0gW"
    head = (
        f'--{boundary}\r\nContent-Disposition: form-data; name="image"; filename="a.jpg"\r\n'
        "Content-Type: image/jpeg\r\n\r\n"
    )
    body = head.encode() + image + f"\r\n--{boundary}--\r\n".encode()
    try:
        kind = {"Content-Type": f"multipart/form-data; boundary={boundary}"}
        connection.request("POST", parts.path, body, kind)
        answer = connection.getresponse()
        text = answer.read()
        return str(answer.status) if answer.status == 200 else f"{answer.status} {text[:300]!r}"
    except (OSError, http.client.HTTPException) as error:
        return f"{type(error).__name__}: {error}"
    finally:
        connection.close()


if __name__ == "__main__":
    main()
