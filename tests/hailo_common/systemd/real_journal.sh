#!/bin/bash
# Sends entries through the journal handler to a real systemd-journald, and reads them with journalctl.
#
# Needs root and Debian's systemd package, not a booted systemd: journald runs in namespaces of its own with an empty
# /run, so the machine's journal is not touched. Not part of `make test`.
#
#     PYTHON=.venv/bin/python tests/hailo_common/systemd/real_journal.sh
set -euo pipefail
cd "$(dirname "$0")/../../.."
PYTHON=$(command -v "${PYTHON:-python3}")
export PYTHON PYTHONPATH=$PWD

exec unshare --mount --pid --fork --mount-proc bash -euo pipefail -c '
mount -t tmpfs tmpfs /run
mkdir -p /run/systemd/journal /run/log/journal
/lib/systemd/systemd-journald 2>/run/journald.log &
for _ in $(seq 50); do [ -S /run/systemd/journal/socket ] && break; sleep 0.1; done

"$PYTHON" - <<"EOF"
import logging
from pathlib import Path
from hailo_common.systemd.journal import SOCKET, JournalSocket, LineWriter
from hailo_common.systemd.logging import Journal

handler = Journal("hailo-journal-test", JournalSocket(SOCKET), LineWriter(2))
log = logging.getLogger("check")
log.addHandler(handler)
log.setLevel("INFO")
fields = {"request_id": "abc123", "inference_time_ms": 450}
log.info("", extra={"fields": {**fields, "endpoint": "/v1/caption"}})
log.warning("forged\n<0>PWNED \x1b[31m \u202e")
try:
    raise ValueError("client text\n<0>PWNED")
except ValueError:
    log.exception("failed")
log.info("big", extra={"fields": {f"part{n}": "x" * 60000 for n in range(8)}})
EOF

"$PYTHON" - <<"EOF"
import json, subprocess
command = ["journalctl", "--directory=/run/log/journal", "-o", "json", "--all", "-t", "hailo-journal-test"]
for _ in range(50):
    text = subprocess.run(command, capture_output=True, text=True).stdout
    entries = [json.loads(line) for line in text.splitlines()]
    if len(entries) == 4:
        break
    __import__("time").sleep(0.1)
request, forged, failed, big = entries
assert request["MESSAGE"] == "request_id=abc123 inference_time_ms=450 endpoint=/v1/caption", request
assert (request["PRIORITY"], request["REQUEST_ID"], request["INFERENCE_TIME_MS"]) == ("6", "abc123", "450")
assert forged["MESSAGE"] == r"forged\n<0>PWNED \x1b[31m \u202e", forged
assert forged["PRIORITY"] == "4"
assert failed["MESSAGE"].startswith("failed\nTraceback") and failed["MESSAGE"].endswith(r"ValueError: client text\n<0>PWNED")
assert big["PART7"] == "x" * 60000
emergencies = subprocess.run([*command, "-p", "emerg"], capture_output=True, text=True).stdout
assert not emergencies.strip(), emergencies
print("real journald: 4 entries as sent, one of 480 kB by memfd, no emergency")
EOF
'
