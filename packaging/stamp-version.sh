#!/bin/sh
# stamp-version.sh COMMIT TREE: give the sources in TREE, which are those of COMMIT, a version of their own.
#
# A commit that has the tag of the version in debian/changelog keeps it; any other gets VERSION+COUNT.gCOMMIT, where
# COUNT grows with each commit. So what is installed says what it was built from, and a later build is an upgrade.
set -eu
commit=$(git rev-parse --verify "$1^{commit}")
tree=$2
released=$(sed -n '1s/.*(\(.*\)).*/\1/p' "$tree/debian/changelog")
if [ "$(git tag --points-at "$commit" --list "v$released")" ]; then
  exit 0
fi
version="$released+$(git rev-list --count "$commit").g$(git rev-parse --short=8 "$commit")"
{
  printf 'hailo-appliance (%s) trixie; urgency=medium\n\n  * Build of commit %s.\n\n' "$version" "$commit"
  printf ' -- %s  %s\n\n' "$(sed -n 's/^ -- \(.*>\)  .*/\1/p' "$tree/debian/changelog" | head -1)" \
    "$(TZ=UTC git show --no-patch --format=%cd --date=format-local:'%a, %d %b %Y %H:%M:%S +0000' "$commit")"
  cat "$tree/debian/changelog"
} >"$tree/debian/changelog.new"
mv "$tree/debian/changelog.new" "$tree/debian/changelog"
sed -i "s/^__version__ = .*/__version__ = \"$version\"/" "$tree/hailo_common/__init__.py"
