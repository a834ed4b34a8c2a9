#!/usr/bin/env bash
# Builds the packages of the last commit in a clean Debian 13: packaging/build-deb.sh [FOLDER]
# FOLDER is dist by default. REVISION builds another commit. QUICK=yes builds neither source packages nor those of
# the other architecture, and does not compress: for tests. ODD=yes builds with another path, umask, time zone, locale and clock: the packages
# must come out the same. hailo-llama takes long to compile and is put beside them if it was built before; LLAMA=yes builds
# it. Needs root and mmdebstrap.
set -euo pipefail
cd "$(dirname "$0")/.."
. packaging/chroot.sh
out=$(mkdir -p "${1:-dist}" && cd "${1:-dist}" && pwd)
build_root=$(packaging/trixie.sh build "build-essential,debhelper,dh-python,python3-all,python3-setuptools,pybuild-plugin-pyproject,po-debconf,gettext,binutils-aarch64-linux-gnu,binutils-x86-64-linux-gnu,faketime")
commit=$(git rev-parse "${REVISION:-HEAD}")
git diff --quiet HEAD || echo "build-deb: what is not committed is not in the packages" >&2

llama=$(packaging/build-llama.sh --where)
[ "${LLAMA:-}" != yes ] || packaging/build-llama.sh >/dev/null
beside=()
if [ ! -d "$llama" ]; then
  echo "build-deb: without hailo-llama, which is compiled once, by make deb-llama" >&2
elif [ "${QUICK:-}" ]; then
  beside=("$llama"/*_all.deb "$llama"/*_"$(dpkg --print-architecture)".deb)
else
  beside=("$llama"/*)
fi

wheels=.cache/wheels
pinned=packaging/python3-tokenizers/SHA256SUMS
mkdir -p "$wheels"
for platform in manylinux2014_x86_64 manylinux2014_aarch64; do
  (cd "$wheels" && grep "$platform" "$OLDPWD/$pinned" | sha256sum --check --strict --status 2>/dev/null) ||
    python3 -m pip download --quiet --disable-pip-version-check --no-deps --only-binary=:all: --dest "$wheels" \
      --platform "$platform" --python-version 3.9 --implementation cp --abi abi3 tokenizers==0.22.1
done
(cd "$wheels" && sha256sum --check --strict --quiet "$OLDPWD/$pinned")

throwaway "$build_root"
base=/build
environment=(PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 TZ=UTC)
if [ "${ODD:-}" ]; then
  base=/home/some-body/deep/er
  environment=(PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C TZ=Asia/Tokyo)
fi
mkdir -p "$COPY$base/appliance" "$COPY$base/tokenizers"

git archive "$commit" | tar -x -C "$COPY$base/appliance"
packaging/stamp-version.sh "$commit" "$COPY$base/appliance"
git archive "$commit:packaging/python3-tokenizers" | tar -x -C "$COPY$base/tokenizers"
cp "$wheels"/tokenizers-*.whl "$COPY$base/tokenizers/"
epoch=$(date -d "$(sed -n 's/^ -- .*>  //p' packaging/python3-tokenizers/debian/changelog | head -1)" +%s)
[ "${QUICK:-}" ] || tar --sort=name --owner=0 --group=0 --numeric-owner --mode=u+rwX,go+rX,go-w --mtime="@$epoch" --exclude=./debian \
  -cJf "$COPY$base/tokenizers-wheels_0.22.1.orig.tar.xz" --transform 's,^\.,tokenizers-wheels-0.22.1,' \
  -C "$COPY$base/tokenizers" .

cat >"$COPY/build.sh" <<'END'
set -eu
[ -z "$ODD" ] || umask 077
run() {
  if [ "$ODD" ]; then faketime -f '+5y' "$@"; else "$@"; fi
}
cd "$1/tokenizers"
if [ "$QUICK" ]; then
  export DPKG_DEB_COMPRESSOR_TYPE=none
  run dpkg-buildpackage --no-sign --build=any >/dev/null
  cd "$1/appliance"
  run dpkg-buildpackage --no-sign --build=binary
  exit
fi
run dpkg-buildpackage --no-sign --build=source,any >/dev/null
# The same repacking for the other architecture; its compiler is not needed for that.
run dpkg-buildpackage --no-sign --build=any --host-arch="$([ "$(dpkg --print-architecture)" = arm64 ] && echo amd64 || echo arm64)" -d >/dev/null 2>&1
cd "$1/appliance"
run dpkg-buildpackage --no-sign --build=full
END
unshare --net --mount --pid --fork --mount-proc="$COPY/proc" chroot "$COPY" \
  env -i "${environment[@]}" HOME=/nonexistent ODD="${ODD:-}" QUICK="${QUICK:-}" DEB_BUILD_OPTIONS="${DEB_BUILD_OPTIONS:-}" \
  sh /build.sh "$base" >"$WORK/log" 2>&1 || { tail -n 60 "$WORK/log" >&2; exit 1; }
cp "$WORK/log" "$out/build.log"
rm -f "$out/commit"

[ ${#beside[@]} = 0 ] || cp "${beside[@]}" "$COPY$base/"
find "$out" -maxdepth 1 \( -name '*.deb' -o -name '*.dsc' -o -name '*.tar.xz' -o -name '*.changes' -o -name '*.buildinfo' \) -delete
find "$COPY$base" -maxdepth 1 -type f -exec cp {} "$out/" \;
# The folder is an apt repository: deb [trusted=yes] file:FOLDER ./
chroot "$COPY" sh -c "cd $base && dpkg-scanpackages --multiversion . 2>/dev/null" >"$out/Packages"
echo "$commit" >"$out/commit"
packaging/sbom.py "$out" "$(git show --no-patch --format=%ct "$commit")" >"$out/hailo-appliance.cdx.json"
(cd "$out" && chmod 644 ./* && sha256sum ./*.deb | sed 's, \./, ,')
