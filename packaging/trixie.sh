#!/usr/bin/env bash
# Prints the folder of a Debian 13 with these packages: packaging/trixie.sh NAME PACKAGE,PACKAGE,...
# Built once and kept in .cache/trixie-NAME. Needs root, mmdebstrap and a Debian mirror: DEBIAN_MIRROR, or the
# one that this machine's apt uses. ARCHITECTURES=arm64 makes it a root of another architecture (its programs need
# qemu-user-static), ARCHITECTURES=amd64,arm64 one that takes libraries of both.
set -euo pipefail
cd "$(dirname "$0")/.."
name=$1 packages=$2
root=$PWD/.cache/trixie-$name
mkdir -p .cache
exec 9>"$root.lock"
flock 9
if [ "$(cat "$root/.packages" 2>/dev/null)" != "$packages" ]; then
  mirror=${DEBIAN_MIRROR:-$(awk '/^URIs:/ {print $2; exit}' /etc/apt/sources.list.d/debian.sources)}
  rm -rf "$root" "$root.new"
  mmdebstrap --quiet ${ARCHITECTURES:+--architectures=$ARCHITECTURES} --variant=minbase --dpkgopt=force-unsafe-io --include="$packages" trixie "$root.new" "$mirror" >&2
  # The services of a fresh machine, and a name server for apt while a network is shared with the host.
  rm -f "$root.new/etc/resolv.conf"
  cp /etc/resolv.conf "$root.new/etc/"
  echo "$packages" >"$root.new/.packages"
  mv "$root.new" "$root"
fi
echo "$root"
