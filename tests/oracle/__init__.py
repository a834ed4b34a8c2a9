"""What the services answer against transformers, live. `HAILO_ORACLE_PICTURES=300` asks the long form."""

from __future__ import annotations

import os

PICTURES = int(os.environ.get("HAILO_ORACLE_PICTURES", "12"))
"""For each task that is asked with invented pictures; a search with beams gets its share of them."""
