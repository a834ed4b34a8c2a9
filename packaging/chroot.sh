# shellcheck shell=bash
# Sourced: a throw-away copy of a root folder. Needs root.

# throwaway ROOT: sets COPY to a writable view of ROOT, which is left as it is; it goes when the script ends.
throwaway() {
  WORK=$(mktemp -d "${TMPDIR:-/var/tmp}/trixie.XXXXXX")
  mkdir "$WORK/upper" "$WORK/work" "$WORK/root"
  mount -t overlay overlay -o "lowerdir=$1,upperdir=$WORK/upper,workdir=$WORK/work" "$WORK/root"
  COPY=$WORK/root
  trap 'discard' EXIT
  mount --bind /proc "$COPY/proc"
  mount --bind /dev "$COPY/dev"
}

discard() {
  umount -R "$COPY" 2>/dev/null || true
  rm -rf "$WORK"
}
