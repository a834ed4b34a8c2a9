"""`doctor --wait`: after a start or an upgrade, give the models time to load, and then insist on them."""

from __future__ import annotations

import time
from collections.abc import Iterator

from hailo_common.config.load import load
from hailo_common.config.services import service_settings
from hailo_common.ctl.client import Client, NoAnswerError
from hailo_common.ctl.doctor.finding import Finding, Patient
from hailo_common.errors import ConfigError

_POLL_S = 1.0


def check_loaded(patient: Patient, wait_s: float) -> Iterator[Finding]:
    """Wait until every service has its model, `wait_s` seconds in all; one that has none then has failed."""
    end = time.monotonic() + wait_s
    for name in patient.services:
        try:
            client = Client(load(service_settings(name), name, patient.places))
        except ConfigError:
            # `check_configuration` says it.
            continue
        while not (loaded := _loaded(client)) and time.monotonic() < end:
            time.sleep(_POLL_S)
        if not loaded:
            text = f"no model is loaded after {wait_s:g} s"
            yield Finding(f"{name}: API", "fail", text, f"journalctl -u {name} -n 20")


def _loaded(client: Client) -> bool:
    try:
        health = client.get("/health").body
    except NoAnswerError:
        return False
    # A model that is away because nobody needed it is healthy too.
    return bool(health.get("model_loaded")) or health.get("status") == "healthy"
