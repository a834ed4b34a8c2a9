#!/usr/bin/env bash
# Builds hailo-llama, llama.cpp's libraries, of the last commit for amd64 and arm64: packaging/build-llama.sh
# It takes a quarter of an hour of two cores. Therefore what was built is kept in .cache/llama/KEY, the folder that
# this prints; KEY stands for all that the packages are made of. --where only prints it, --fetch only fetches the source
# to DOWNLOADS (.cache/llama/downloads).
# REVISION builds another commit. OUT=FOLDER builds into FOLDER, whatever was kept. ODD=yes builds with another path,
# umask, time zone, locale and clock: the packages must come out the same. Needs root and mmdebstrap.
set -euo pipefail
cd "$(dirname "$0")/.."
. packaging/chroot.sh
commit=$(git rev-parse "${REVISION:-HEAD}")
key=$(git rev-parse "$commit:packaging/build-llama.sh" "$commit:packaging/hailo-llama/"{debian,SHA256SUMS,SOURCES} | sha256sum | cut -c 1-16)
kept=$PWD/.cache/llama/$key
[ "${1:-}" != --where ] || { echo "$kept"; exit; }
[ -n "${OUT:-}${1:-}" ] || [ ! -d "$kept" ] || { echo "$kept"; exit; }
git diff --quiet HEAD -- packaging || echo "build-llama: what is not committed is not in the packages" >&2

show() { git show "$commit:packaging/hailo-llama/$1"; }
downloads=${DOWNLOADS:-$PWD/.cache/llama/downloads}
mkdir -p "$downloads" .cache/ccache
read -r _ sdist < <(show SHA256SUMS)
version=${sdist##*-} version=${version%.tar.gz}
intact() { (cd "$downloads" && show SHA256SUMS | sha256sum --check --strict "$@"); }
# pip asks an sdist's build system for its metadata even when it only downloads; this stands in for it, so that nothing
# unpinned is fetched or run.
fetch() {
  local stand_in
  stand_in=$(mktemp -d)
  mkdir "$stand_in/scikit_build_core"
  cat >"$stand_in/scikit_build_core/build.py" <<END_STAND_IN
import pathlib

def prepare_metadata_for_build_wheel(folder, config_settings=None):
    made = pathlib.Path(folder, "llama_cpp_python-$version.dist-info")
    made.mkdir()
    (made / "METADATA").write_text("Metadata-Version: 2.1\nName: llama-cpp-python\nVersion: $version\n")
    return made.name
END_STAND_IN
  show SHA256SUMS | sed -E "s/^(\S+) .*/llama-cpp-python==$version --hash=sha256:\1/" >"$stand_in/wanted"
  PYTHONPATH=$stand_in python3 -m pip download --quiet --disable-pip-version-check --no-deps --no-build-isolation \
    --no-binary=:all: --dest "$downloads" --require-hashes --requirement "$stand_in/wanted"
  rm -r "$stand_in"
}
intact --status 2>/dev/null || fetch
intact --quiet
[ "${1:-}" != --fetch ] || exit 0

native=$(dpkg --print-architecture)
other=$([ "$native" = arm64 ] && echo amd64 || echo arm64)
build_root=$(ARCHITECTURES=$native,$other packaging/trixie.sh llama "build-essential,crossbuild-essential-$other,libc6-dev:$other,libstdc++-14-dev:$other,ccache,cmake,debhelper,dh-python,faketime,ninja-build,python3")

throwaway "$build_root"
base=/build
environment=(PATH=/usr/lib/ccache:/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 TZ=UTC)
if [ "${ODD:-}" ]; then
  base=/home/some-body/deep/er
  environment=(PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C TZ=Asia/Tokyo)
fi
# The source: of the sdist what SOURCES names, packed the same way each time.
source=hailo-llama-$version+ds
mkdir -p "$COPY$base/$source" "$COPY/ccache"
mount --bind .cache/ccache "$COPY/ccache"
show SOURCES | sed "/^#/d; s,^,llama_cpp_python-$version/," |
  tar -xzf "$downloads/$sdist" -C "$COPY$base/$source" --strip-components=1 --wildcards --no-wildcards-match-slash --files-from=-
epoch=$(date -d "$(show debian/changelog | sed -n 's/^ -- .*>  //p' | head -1)" +%s)
tar --sort=name --owner=0 --group=0 --numeric-owner --mode=u+rwX,go+rX,go-w --mtime="@$epoch" \
  -cJf "$COPY$base/hailo-llama_$version+ds.orig.tar.xz" -C "$COPY$base" "$source"
git archive "$commit:packaging/hailo-llama" debian | tar -x -C "$COPY$base/$source"

cat >"$COPY/build.sh" <<'END_INSIDE'
set -eu
[ -z "$ODD" ] || umask 077
run() {
  if [ "$ODD" ]; then faketime -f '+5y' "$@"; else "$@"; fi
}
cd "$1"
run dpkg-buildpackage --no-sign --build=full
run dpkg-buildpackage --no-sign --build=any --host-arch="$2"
END_INSIDE
unshare --net --mount --pid --fork --mount-proc="$COPY/proc" chroot "$COPY" \
  env -i "${environment[@]}" HOME=/nonexistent ODD="${ODD:-}" CCACHE_DIR=/ccache CCACHE_COMPILERCHECK=content \
  DEB_BUILD_OPTIONS="${DEB_BUILD_OPTIONS:-parallel=$(nproc)}" nice -n 10 sh /build.sh "$base/$source" "$other" >"$WORK/log" 2>&1 ||
  { tail -n 60 "$WORK/log" >&2; exit 1; }
umount "$COPY/ccache"

out=${OUT:-$kept}
rm -rf "$out.new"
mkdir -p "$out.new"
find "$COPY$base" -maxdepth 1 -type f -exec cp {} "$out.new/" \;
cp "$WORK/log" "$out.log"
chmod 644 "$out.new"/*
rm -rf "$out"
mv "$out.new" "$out"
echo "$out"
