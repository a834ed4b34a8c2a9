"""Run inside a machine: the publishers' servers, with TLS, redirects, signed addresses and bad habits.

python3 publisher.py FOLDER CERTIFICATE, with tests/hailo_common/models/depot.py beside it. FOLDER holds
HOST/PATH as the URLs of the manifest name them; every large file is behind a redirect to a signed address on
another host, whose first signature is worth nothing.
"""

from __future__ import annotations

import contextlib
import ssl
import sys
import threading
import time
from pathlib import Path
from typing import ClassVar
from urllib.parse import urlsplit

from tests.hailo_common.models.depot import Depot, Handler

LARGE = 100_000
SLOW_S = 0.02
"""A pause after each 64 KiB: a fetch must take long enough to be looked at."""
STORAGE = "cas-bridge.xethub.hf.co"


class Publisher(Handler):
    """One request to any of the hosts."""

    folder = Path()
    signatures: ClassVar[dict[str, int]] = {}

    def do_GET(self) -> None:
        host = self.headers.get("Host", "").partition(":")[0]
        path = urlsplit(self.path)
        file = self.folder / (path.path.lstrip("/") if host == STORAGE else f"{host}{path.path}")
        with contextlib.suppress(ConnectionError, TimeoutError):
            if not file.is_file():
                self.refuse(404)
            elif host == STORAGE:
                self._stored(file, path.query)
            elif file.stat().st_size > LARGE:
                self._lead_on(f"{host}{path.path}")
            else:
                self.give(file.read_bytes())

    def _lead_on(self, name: str) -> None:
        self.signatures[name] = self.signatures.get(name, 0) + 1
        self.send_response(302)
        self.send_header("Location", f"https://{STORAGE}/{name}?signature={self.signatures[name]}")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _stored(self, file: Path, query: str) -> None:
        if query == "signature=1":
            self.refuse(403)
            return
        if self.start():
            # It gives whole files only, and says so without a word.
            self.refuse(416)
            return
        content = file.read_bytes()
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        for at in range(0, len(content), 1 << 16):
            self.wfile.write(content[at : at + (1 << 16)])
            time.sleep(SLOW_S)


def main(folder: Path, certificate: Path) -> None:
    """Serve for ever."""
    Publisher.folder = folder
    depot = Depot(("127.0.0.1", 443), Publisher)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    depot.socket = context.wrap_socket(depot.socket, server_side=True, do_handshake_on_connect=False)
    threading.Thread(target=depot.serve_forever).start()


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
