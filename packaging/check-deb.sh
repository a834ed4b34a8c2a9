#!/usr/bin/env bash
# Checks the packages in dist/: packaging/check-deb.sh [lintian] [reproducible] [piuparts] [autopkgtest] [shellcheck] [llama]
# All but llama without arguments: it compiles hailo-llama anew, which must come out the same, and runs it on both
# architectures. Needs root and what build-deb.sh needs.
# shellcheck disable=SC2016 # The scripts for inside are not for this shell.
set -euo pipefail
cd "$(dirname "$0")/.."
. packaging/chroot.sh
[ $# -gt 0 ] || set -- shellcheck lintian reproducible piuparts autopkgtest
tools=$(packaging/trixie.sh check "lintian,piuparts,autopkgtest,shellcheck,debootstrap,dpkg-dev,apt-utils,systemd,systemd-sysv,udev,dbus,curl,python3-pytest,python3-hypothesis,python3-httpx,ca-certificates,adduser")
machine=systemd,systemd-sysv,dbus,udev,apt,apt-utils,ca-certificates,curl,iproute2,procps,debconf-utils,python3
mirror=${DEBIAN_MIRROR:-$(awk '/^URIs:/ {print $2; exit}' /etc/apt/sources.list.d/debian.sources)}
native=$(dpkg --print-architecture)

throwaway "$tools"
mkdir -p "$COPY/dist" "$COPY/repository" "$COPY/src"
cp dist/* "$COPY/dist/"
cp dist/*_all.deb dist/*_"$native".deb "$COPY/repository/"
git archive "$(cat dist/commit)" | tar -x -C "$COPY/src"
(cd "$COPY/repository" && dpkg-scanpackages . >Packages 2>/dev/null)
inside() { chroot "$COPY" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 HOME=/root TMPDIR=/tmp sh -euc "$1"; }

shellcheck_() {
  inside 'cd /src && for name in hailo-vision hailo-florence hailo-common; do
      make -s -f debian/rules "debian/$name.config" "debian/$name.postinst"
      [ -e "debian/$name.postrm" ] || make -s -f debian/rules "debian/$name.postrm"
    done
    shellcheck -s sh -e SC1091,SC2154,SC2034,SC2317 debian/*.config debian/*.postinst debian/*.postrm debian/*.prerm debian/libexec/* debian/tests/commands debian/tests/units debian/tests/service &&
    shellcheck packaging/*.sh'
}

lintian_() {
  # Its own --fail-on info counts what is overridden, too.
  inside 'cd /dist && lintian --allow-root --pedantic --display-info --fail-on error,warning,pedantic ./*.changes |
    tee /tags; ! grep "^[EWPI]:" /tags'
}

reproducible_() {
  ODD=yes REVISION=$(cat dist/commit) packaging/build-deb.sh .cache/second >/dev/null
  for deb in dist/*.deb; do
    cmp "$deb" ".cache/second/$(basename "$deb")"
  done
  echo "two builds are the same, bit for bit"
}

# Their names, if they are there.
llama_packages() { find dist -maxdepth 1 \( -name 'hailo-llama_*' -o -name 'python3-hailo-llama_*' \) -name '*.deb' -printf '%f\n' | sed 's/_.*//' | sort -u | tr '\n' ' '; }

piuparts_() {
  local base=$WORK/base.tar
  tar -C "$(packaging/trixie.sh machine "$machine")" --exclude=./.packages -cf "$base" .
  mv "$base" "$COPY/base.tar"
  inside "mount -t devpts devpts /dev/pts 2>/dev/null || true
    piuparts --apt --basetgz /base.tar --distribution trixie --mirror '$mirror main' --no-eatmydata \
      --extra-repo 'deb [trusted=yes] file:/repository ./' --bindmount /repository --warn-on-others \
      hailo-common hailo-vision hailo-florence hailo-demo-models python3-tokenizers $(llama_packages)"
}

autopkgtest_() {
  inside 'mount -t devpts devpts /dev/pts; apt-get update -qq; cd /src && autopkgtest --test-name=commands --test-name=units /repository/*.deb /src -- null'
}

llama_() {
  local deb made
  made=$(packaging/build-llama.sh)
  ODD=yes OUT=$PWD/.cache/second-llama packaging/build-llama.sh
  for deb in "$made"/*.deb; do
    cmp "$deb" ".cache/second-llama/$(basename "$deb")"
  done
  echo "two builds are the same, bit for bit"
  packaging/smoke-llama.sh amd64
  packaging/smoke-llama.sh arm64
}

for check in "$@"; do
  echo "== $check"
  "${check}_"
done
