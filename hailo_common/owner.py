"""Whose request this is. Whatever clients could share, a cache of any kind, belongs to an owner.

The HTTP side sets `owner` once it knows the client; queue and decoder read it. An owner is a name made in
this process and good for its life: neither a key nor anything that leads to one.
"""

from __future__ import annotations

from contextvars import ContextVar

EVERYBODY = ""
"""The one owner of a service that knows no clients apart."""

owner: ContextVar[str] = ContextVar("owner", default=EVERYBODY)
"""The owner of the request this task works on."""
