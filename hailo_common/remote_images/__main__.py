"""The program of hailo-images.service. It reads its YAML itself: no service of ours waits for it.

Exit statuses: 0 when nobody came for a while, 69 without a socket, 78 for a bad configuration.
"""

from __future__ import annotations

import os
import socket
import sys

from hailo_common.config.load import load
from hailo_common.config.paths import Paths
from hailo_common.errors import ConfigError
from hailo_common.remote_images.server import ImageServer
from hailo_common.remote_images.settings import SERVICE, RemoteImageSettings
from hailo_common.systemd.logging import setup_logging
from hailo_common.systemd.sockets import ListenError, inherited_sockets

_IDLE_S = 600.0


def main() -> int:
    """Serve the socket that systemd passed on; returns the exit status."""
    try:
        settings = load(RemoteImageSettings, SERVICE, Paths())
    except ConfigError as error:
        print(f"{SERVICE}: {error}", file=sys.stderr)
        return os.EX_CONFIG
    setup_logging(SERVICE, settings.log_level)
    try:
        listeners = inherited_sockets(kind=socket.SOCK_SEQPACKET)
    except ListenError as error:
        print(f"{SERVICE}: {error}", file=sys.stderr)
        return error.exit_status
    if not listeners:
        print(f"{SERVICE}: started without a socket; try: systemctl start {SERVICE}.socket", file=sys.stderr)
        return os.EX_UNAVAILABLE
    ImageServer(settings).serve(listeners[0], _IDLE_S)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
