#!/usr/bin/env python3
"""What the packages in a folder are made of, as a CycloneDX 1.6 document: packaging/sbom.py FOLDER [EPOCH]

Each package with its SHA-256, what it carries of others (`carried.json`, with the digests that the build
checks), and the Debian packages that it depends on. EPOCH, in seconds, is the time it tells; the same
packages make the same document. Source: https://cyclonedx.org/docs/1.6/json/
"""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from email.message import Message
from email.parser import HeaderParser
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent


def document(debs: list[Path], epoch: int) -> dict[str, Any]:
    """The document of these packages."""
    packages = [_package(deb) for deb in debs]
    own = {package["name"] for package in packages}
    needed = {name for package in packages for name in package["needs"]} - own
    refs = {package["name"]: package["component"]["bom-ref"] for package in packages}
    refs |= {name: f"pkg:deb/debian/{name}" for name in needed}
    stated = [package["component"] for package in packages] + [_debian(name) for name in sorted(needed)]
    seen = json.dumps(stated, sort_keys=True)
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": uuid.uuid5(uuid.NAMESPACE_URL, seen).urn,
        "version": 1,
        "metadata": {
            "timestamp": datetime.fromtimestamp(epoch, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "component": {"type": "application", "name": "hailo-appliance", "bom-ref": "hailo-appliance"},
        },
        "components": stated,
        "dependencies": [
            {
                "ref": "hailo-appliance",
                "dependsOn": [package["component"]["bom-ref"] for package in packages],
            },
            *(
                {
                    "ref": package["component"]["bom-ref"],
                    "dependsOn": sorted({refs[name] for name in package["needs"]}),
                }
                for package in packages
            ),
        ],
    }


def _package(deb: Path) -> dict[str, Any]:
    fields = _fields(deb)
    name, version, architecture = fields["Package"], fields["Version"], fields["Architecture"]
    ref = f"pkg:deb/debian/{name}@{version.replace('+', '%2B')}?arch={architecture}"
    component = {
        "type": "library" if name.startswith("python3-") else "application",
        "bom-ref": ref,
        "name": name,
        "version": version,
        "description": fields.get("Description", "").partition("\n")[0],
        "purl": ref,
        "hashes": [{"alg": "SHA-256", "content": hashlib.sha256(deb.read_bytes()).hexdigest()}],
    }
    if carried := [*_carried(name, ref)]:
        component["components"] = carried
    needs = _names(", ".join(fields.get(field, "") for field in ("Pre-Depends", "Depends")))
    return {"name": name, "component": component, "needs": sorted(needs)}


def _fields(deb: Path) -> Message:
    """The control fields of a package."""
    output = subprocess.run(["dpkg-deb", "--field", deb], capture_output=True, check=True, text=True).stdout
    return HeaderParser().parsestr(output)


def _names(relations: str) -> set[str]:
    """The packages of a dependency field, the first of alternatives."""
    return {
        match[0]
        for each in relations.split(",")
        if (match := re.match(r"[a-z0-9][a-z0-9.+-]+", each.strip()))
    }


def _carried(package: str, ref: str) -> Iterator[dict[str, Any]]:
    """What a package holds of others."""
    table = json.loads((ROOT / "packaging/carried.json").read_text(encoding="utf-8"))
    for number, part in enumerate(table.get(package, ())):
        yield {
            "type": "library",
            "bom-ref": f"{ref}#{number}",
            "name": part["name"],
            "version": part["version"],
            "purl": part["purl"],
            "licenses": [{"license": {"id": part["licence"]}}],
            "externalReferences": [
                {
                    "type": "distribution",
                    "url": part["purl"],
                    "comment": file,
                    "hashes": [{"alg": "SHA-256", "content": digest}],
                }
                for digest, file in _sums(part)
            ],
        }


def _sums(part: dict[str, str]) -> list[list[str]]:
    """Digest and name of each file that a part came as: one that is stated, or those the build checks."""
    if "sha256" in part:
        return [[part["sha256"], part["purl"]]]
    return [line.split() for line in (ROOT / part["sums"]).read_text(encoding="utf-8").splitlines()]


def _debian(name: str) -> dict[str, Any]:
    return {
        "type": "library",
        "bom-ref": f"pkg:deb/debian/{name}",
        "name": name,
        "purl": f"pkg:deb/debian/{name}",
    }


def main() -> None:
    """Print the document of the packages in a folder."""
    folder = Path(sys.argv[1])
    debs = sorted(folder.glob("*.deb"))
    if not debs:
        sys.exit(f"sbom: no packages in {folder}")
    print(json.dumps(document(debs, int(sys.argv[2]) if len(sys.argv) > 2 else 0), indent=2))


if __name__ == "__main__":
    main()
