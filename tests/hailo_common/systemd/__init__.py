"""Tests of logging, notification, sockets, memory and lifecycle."""
