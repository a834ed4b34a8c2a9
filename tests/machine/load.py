"""Run inside a machine: connects anew for every request until a file appears, then prints what happened.

python3 load.py PORT STOP_FILE
"""

from __future__ import annotations

import http.client
import json
import sys
import time
from collections import Counter
from pathlib import Path


def once(port: int) -> str:
    """How one request ended: its status, or the name of the error."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request("GET", "/health", headers={"Host": "localhost", "Connection": "close"})
        return str(connection.getresponse().status)
    except (OSError, http.client.HTTPException) as error:
        return type(error).__name__
    finally:
        connection.close()


def main() -> None:
    """Print the counts as JSON."""
    port, stop = int(sys.argv[1]), Path(sys.argv[2])
    counts: Counter[str] = Counter()
    while not stop.exists():
        counts[once(port)] += 1
        time.sleep(0.005)
    print(json.dumps(counts))


if __name__ == "__main__":
    main()
