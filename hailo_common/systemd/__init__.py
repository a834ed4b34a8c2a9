"""Being a good systemd service: logging, notification, sockets, signals."""
