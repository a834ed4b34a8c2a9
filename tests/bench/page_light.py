"""What Lighthouse says of both pages on a throttled telephone: `python -m tests.bench.page_light [runs]`.

Needs Chromium (Debian: `chromium`) and `npm install --no-save --prefix .cache/lighthouse lighthouse@12.8.2`.
Its profile: a telephone of four times slower CPU behind slow 4G (150 ms, 1.6 Mbit/s).
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.hailo_florence.api.running import FLORENCE, started
from tests.page.conftest import FLAGS, ROOT, chromium

LIGHTHOUSE = ROOT / ".cache/lighthouse/node_modules/.bin/lighthouse"
CATEGORIES = ("performance", "accessibility", "best-practices")
AUDITS = {
    "first-contentful-paint": "first paint",
    "largest-contentful-paint": "largest paint",
    "total-blocking-time": "blocked",
    "cumulative-layout-shift": "moved",
}
RUNS = 5
RUN_S = 180.0


def main() -> None:
    """Print each run, then the median and the best: another program's load only ever takes points away."""
    browser = chromium()
    if browser is None or not LIGHTHOUSE.exists():
        sys.exit("Chromium or Lighthouse is missing; see the head of this file.")
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else RUNS
    for module in (FLORENCE, ("hailo_vision", "--demo")):
        with started(module) as running:
            reports = [_report(browser, f"http://127.0.0.1:{running.port}/") for _ in range(runs)]
        for report in reports:
            print(f"{module[0]}: {_line(report)}")
        for name in CATEGORIES:
            scores = [100 * report["categories"][name]["score"] for report in reports]
            print(f"{module[0]}: {name} median {statistics.median(scores):.0f}, best {max(scores):.0f}")


def _report(browser: str, address: str) -> dict[str, Any]:
    command: list[str | Path] = [LIGHTHOUSE, address, "--quiet", "--output", "json"]
    command += [
        f"--only-categories={','.join(CATEGORIES)}",
        f"--chrome-flags={' '.join(['--headless=new', *FLAGS])}",
    ]
    environ = {**os.environ, "CHROME_PATH": browser}
    done = subprocess.run(command, env=environ, stdout=subprocess.PIPE, check=True, timeout=RUN_S)
    report: dict[str, Any] = json.loads(done.stdout)
    return report


def _line(report: dict[str, Any]) -> str:
    scores = (f"{name} {100 * report['categories'][name]['score']:.0f}" for name in CATEGORIES)
    audits = (f"{words} {report['audits'][name]['displayValue']}" for name, words in AUDITS.items())
    return ", ".join([*scores, *audits])


if __name__ == "__main__":
    main()
