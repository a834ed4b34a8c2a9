"""The same examples on every machine, however slow; `pytest --hypothesis-profile=search` draws new ones."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("same", deadline=None, derandomize=True)
settings.register_profile("search", deadline=None)
settings.load_profile("same")
