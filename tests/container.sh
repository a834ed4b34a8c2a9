#!/usr/bin/env bash
# Runs the tests on Debian 13 with Debian's own Python 3.13 and packages: tests/container.sh [pytest arguments]
# Needs root, mmdebstrap and a Debian mirror; it takes the one that this machine's apt uses.
set -euo pipefail
cd "$(dirname "$0")/.."
root=${TRIXIE_ROOT:-.cache/trixie}
packages=python3,python3-venv,python3-pip,ca-certificates,make,procps,strace,libde265-0
for name in fastapi uvicorn pydantic onnxruntime numpy pil yaml jinja2 prometheus-client python-multipart \
  urllib3 argcomplete onnx httpx pytest pytest-xdist hypothesis; do
  packages+=,python3-$name
done
if [ "$(cat "$root/opt/packages" 2>/dev/null)" != "$packages" ]; then
  rm -rf "$root"
  mirror=$(awk '/^URIs:/ {print $2; exit}' /etc/apt/sources.list.d/debian.sources)
  mkdir -p "$(dirname "$root")"
  mmdebstrap --variant=minbase --include="$packages" trixie "$root" "$mirror"
  cp /etc/resolv.conf /etc/hosts "$root/etc/"
  cp /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/"
  # What trixie lacks.
  chroot "$root" sh -c 'python3 -m venv --system-site-packages /opt/venv &&
    /opt/venv/bin/pip install --quiet --no-deps tokenizers fastapi-offline argparse-manpage'
  echo "$packages" >"$root/opt/packages"
fi
cleanup() { umount "$root/proc" "$root/dev/pts" "$root/dev" 2>/dev/null || true; }
trap cleanup EXIT
mount --bind /proc "$root/proc"
mount --bind /dev "$root/dev"
mount --bind /dev/pts "$root/dev/pts"
rm -rf "$root/src"
mkdir "$root/src"
git archive HEAD | tar -x -C "$root/src"
chroot "$root" /bin/sh -c 'cd /src && exec /opt/venv/bin/python -m pytest -n 4 --dist worksteal -p no:cacheprovider -m "not oracle" "$@"' sh "$@"
