#!/usr/bin/env bash
# Installs hailo-llama in a fresh Debian 13, makes a tiny random model and generates with it: packaging/smoke-llama.sh [ARCHITECTURE]
# This machine's architecture by default; of another one, programs run in emulation (Debian: qemu-user-static, arch-test,
# binfmt-support), once as the processor of a Raspberry Pi 5. Needs root, mmdebstrap and what build-llama.sh made.
set -euo pipefail
cd "$(dirname "$0")/.."
. packaging/chroot.sh
native=$(dpkg --print-architecture)
architecture=${1:-$native}
made=$(packaging/build-llama.sh --where)
[ -d "$made" ] || { echo "There is no hailo-llama of this commit: make deb-llama first" >&2; exit 1; }
# Processor that is emulated, or "this" for the machine itself, and the kernels that must be chosen for it.
case $architecture in
amd64) runs=("qemu64=x64" "Nehalem=sse42" "Haswell=haswell") ;;
arm64) runs=("cortex-a53=armv8.0_1" "cortex-a76=armv8.2_[12]" "max=armv[89].+") ;;
*) echo "hailo-llama is for amd64 and arm64" >&2; exit 2 ;;
esac
if [ "$architecture" = "$native" ]; then
  runs+=("this=.+")
elif ! grep -qs "^enabled" "/proc/sys/fs/binfmt_misc/qemu-${architecture/arm64/aarch64}"; then
  echo "Programs of $architecture do not run here: apt install qemu-user-static binfmt-support arch-test" >&2
  exit 1
fi

throwaway "$(ARCHITECTURES=$architecture packaging/trixie.sh "smoke-$architecture" python3,python3-typing-extensions,strace)"
cp "$made"/hailo-llama_*_"$architecture".deb "$made"/python3-hailo-llama_*_all.deb packaging/smoke-llama.py "$COPY/root/"
inside() { timeout "$1" unshare --net --mount --pid --fork --mount-proc="$COPY/proc" chroot "$COPY" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 "${@:2}"; }
inside 300 sh -c 'dpkg -i /root/*.deb >/root/log 2>&1 || { cat /root/log; exit 1; }'

for run in "${runs[@]}"; do
  processor=${run%%=*} kernels=${run#*=}
  command=(python3 -W error /root/smoke-llama.py /root "$kernels")
  if [ "$architecture" = amd64 ] && [ "$processor" != this ]; then
    # On its own architecture the emulator must be named, to be another processor of it.
    emulator=$(command -v qemu-x86_64-static) || { echo "amd64 as $processor: left out, it needs qemu-user-static"; continue; }
    cp "$emulator" "$COPY/root/emulator"
    command=(/root/emulator -cpu "$processor" /usr/bin/python3 "${command[@]:1}")
  fi
  echo -n "$architecture as $processor: "
  inside 600 QEMU_CPU="${processor/this/}" "${command[@]}" 2>"$WORK/said" || { tail -n 20 "$WORK/said" >&2; exit 1; }
done

# What the kernel itself saw. An emulator's own memory is writable and executable, so only here.
if [ "$architecture" = "$native" ]; then
  inside 300 strace -f -qq -o /root/calls -e trace=mmap,mprotect,pkey_mprotect,network,execve,execveat,fork,vfork \
    python3 /root/smoke-llama.py /root '.+' >/dev/null 2>&1
  if grep -E 'PROT_WRITE\|PROT_EXEC.* = (0x|0$)|socket|bind\(|listen\(|accept|fork\(' "$COPY/root/calls" ||
    [ "$(grep -c execve "$COPY/root/calls")" != 1 ]; then
    echo "It did what it must not (above), or ran another program" >&2
    exit 1
  fi
  echo "$architecture under strace: $(grep -c mmap "$COPY/root/calls") mappings, none writable and executable; no socket, no other program"
fi
