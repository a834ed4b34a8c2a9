#!/usr/bin/env bash
# Installs the packages of a folder in a fresh Debian 13 and asks both services: packaging/smoke-deb.sh [ARCHITECTURE [FOLDER]]
# This machine's architecture and dist by default; of another one, programs run in emulation (Debian: qemu-user-static,
# arch-test, binfmt-support), as the processor of a Raspberry Pi 5. HAILO_SMOKE_LIMIT_S is how long it may take: an hour
# in emulation, ten minutes without. Needs root, mmdebstrap and `make deb`.
set -euo pipefail
cd "$(dirname "$0")/.."
. packaging/chroot.sh
native=$(dpkg --print-architecture)
architecture=${1:-$native} folder=${2:-dist}
case $architecture in
amd64 | arm64) ;;
*) echo "the packages are tried on amd64 and arm64" >&2; exit 2 ;;
esac
limit=${HAILO_SMOKE_LIMIT_S:-600}
if [ "$architecture" != "$native" ]; then
  limit=${HAILO_SMOKE_LIMIT_S:-3600}
  grep -qs "^enabled" "/proc/sys/fs/binfmt_misc/qemu-${architecture/arm64/aarch64}" || {
    echo "Programs of $architecture do not run here: apt install qemu-user-static binfmt-support arch-test" >&2
    exit 1
  }
  if [ "$architecture" = arm64 ]; then
    export QEMU_CPU=cortex-a76
  fi
fi
shopt -s nullglob
packages=("$folder"/hailo-{common,florence,vision,demo-models}_*_all.deb "$folder"/python3-tokenizers_*_"$architecture".deb)
[ "${#packages[@]}" = 5 ] || { echo "$folder lacks hailo-common, hailo-florence, hailo-vision, hailo-demo-models or python3-tokenizers for $architecture: make deb first" >&2; exit 1; }

start=$SECONDS
left() { echo $((limit - (SECONDS - start) > 1 ? limit - (SECONDS - start) : 1)); }
said() { echo "$architecture: $1 after $((SECONDS - start)) s"; }
root=$(ARCHITECTURES=$architecture timeout "$limit" packaging/trixie.sh "smoke-deb-$architecture" apt,ca-certificates,curl,debconf,iproute2,python3-minimal)
said "a bare Debian 13"
throwaway "$root"
# On ARM, ONNX Runtime asks here what the processor can, and aborts without an answer.
mount --bind /sys "$COPY/sys"
if [ "$architecture" != "$native" ]; then
  # In emulation this would be most of the time; what is imported is compiled then.
  ln -sf true "$COPY/usr/bin/py3compile"
fi
mkdir "$COPY/root/packages"
cp "${packages[@]}" "$COPY/root/packages/"
cp docs/sample.jpg "$COPY/root/"
environment=(PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive ${QEMU_CPU:+"QEMU_CPU=$QEMU_CPU"})
inside() { timeout "$(left)" "$@"; }
inside chroot "$COPY" env -i "${environment[@]}" \
  sh -c 'apt-get -qq update && apt-get -qq install --yes --no-install-recommends /root/packages/*.deb' >"$WORK/log" 2>&1 ||
  { tail -n 40 "$WORK/log" >&2; exit 1; }
said "installed"
cat >"$COPY/root/served" <<'END'
set -eu
service=$1 port=$2
shift 2
ip link set lo up
hailo-ctl config check
"$service-server" --demo shapes --backend cpu --port "$port" >/root/log 2>&1 &
until curl -sf -m 60 "http://127.0.0.1:$port/health/ready" >/dev/null; do
  kill -0 $! || { cat /root/log; exit 1; }
  sleep 1
done
curl -sSf -m 600 "$@"
kill $!
END
# Alone, with a loopback of its own.
served() {
  inside unshare --net --mount --pid --fork --mount-proc="$COPY/proc" chroot "$COPY" env -i "${environment[@]}" sh /root/served "$@" ||
    { tail -n 40 "$COPY/root/log" >&2; exit 1; }
}
answered() {
  case $2 in
  *"$3"*) said "$1 answered: $3" ;;
  *) printf 'not what the picture shows: %s\n' "$2" >&2; exit 1 ;;
  esac
}
caption=$(served hailo-florence 11438 -F image=@/root/sample.jpg http://127.0.0.1:11438/v1/caption)
answered hailo-florence "$caption" "a red circle to the left of a blue square"
printf '{"temperature": 0, "max_tokens": 40, "messages": [{"role": "user", "content": [
  {"type": "text", "text": "What color is the circle?"},
  {"type": "image_url", "image_url": {"url": "data:image/jpeg;base64,%s"}}]}]}' "$(base64 -w 0 docs/sample.jpg)" >"$COPY/root/chat.json"
answer=$(served hailo-vision 11435 -H 'Content-Type: application/json' -d @/root/chat.json http://127.0.0.1:11435/v1/chat/completions)
answered hailo-vision "${answer,,}" "red"
