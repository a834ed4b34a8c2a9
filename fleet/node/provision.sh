#!/bin/sh
# Makes this Debian 13 a node of a fleet: adds the repository's key and its source, then installs packages.
#
#   sh provision.sh [OPTION ...] [PACKAGE ...]
#     --url URL            the repository; the copy of this script in a repository knows its own
#     --codename NAME      stable (the default) or candidate
#     --preseed FILE       answers for debconf, in debconf-set-selections' format: fleet/node/preseed.cfg
#     --dropins FOLDER     copied to /etc/hailo: FOLDER/hailo-vision.d/10-site.yaml, ...
#     --no-upgrades        without unattended upgrades (package hailo-fleet-node)
#   PACKAGE: hailo-vision hailo-florence hailo-demo-models, if none is named.
#
# It may run again and again. What apt downloads is checked with the key below, whatever the way it came.
set -eu

URL=""
CODENAME=stable
PRESEED=
DROPINS=
NODE=hailo-fleet-node
KEYRING=/usr/share/keyrings/hailo-appliance-archive-keyring.pgp
SOURCES=/etc/apt/sources.list.d/hailo-appliance.sources

fail() {
  echo "provision: $*" >&2
  exit 1
}

# The public keys of the repository.
keyring() {
  base64 -d <<'KEY'
@KEYRING@
KEY
}

while [ $# -gt 0 ]; do
  case "$1" in
  --url) URL=${2:?"--url needs a URL"} && shift ;;
  --codename) CODENAME=${2:?"--codename needs a name"} && shift ;;
  --preseed) PRESEED=${2:?"--preseed needs a file"} && shift ;;
  --dropins) DROPINS=${2:?"--dropins needs a folder"} && shift ;;
  --no-upgrades) NODE= ;;
  --help | -h)
    sed -n '2,12s/^# \{0,1\}//p' "$0"
    exit 0
    ;;
  -*) fail "unknown option $1; see --help" ;;
  *) break ;;
  esac
  shift
done
[ $# -gt 0 ] || set -- hailo-vision hailo-florence hailo-demo-models

[ "$(id -u)" = 0 ] || fail "needs root: sudo sh provision.sh"
[ -n "$URL" ] || fail "which repository? --url https://repo.example/hailo"
release=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
[ "$release" = trixie ] || fail "needs Debian 13 (trixie) or Raspberry Pi OS on it; this is '$release'"

umask 022
mkdir -p /usr/share/keyrings /etc/apt/sources.list.d
keyring >"$KEYRING.new"
[ -s "$KEYRING.new" ] || fail "this copy has no keys in it; take the one from the repository"
# An upgrade may have brought newer keys than this copy has.
if ! dpkg-query --show hailo-appliance-archive-keyring >/dev/null 2>&1; then
  mv "$KEYRING.new" "$KEYRING"
fi
rm -f "$KEYRING.new"
cat >"$SOURCES.new" <<END
Types: deb
URIs: $URL
Suites: $CODENAME
Components: main
Signed-By: $KEYRING
END
mv "$SOURCES.new" "$SOURCES"

if [ -n "$PRESEED" ]; then
  debconf-set-selections "$PRESEED"
fi
if [ -n "$DROPINS" ]; then
  mkdir -p /etc/hailo
  cp -RL "$DROPINS"/. /etc/hailo/
fi

# A clock that is still wrong after the boot makes a Release "not valid yet"; time and network come in a while.
tries=0
until apt-get update -q -o APT::Update::Error-Mode=any; do
  tries=$((tries + 1))
  [ "$tries" -lt "${PROVISION_TRIES:-6}" ] || fail "the package lists could not be fetched; nothing was installed"
  sleep 10
done
export DEBIAN_FRONTEND=noninteractive
apt-get install -y -q -o Dpkg::Options::=--force-confold -o DPkg::Lock::Timeout=300 \
  hailo-appliance-archive-keyring $NODE "$@"
echo "provision: installed. How it is: hailo-ctl doctor"
