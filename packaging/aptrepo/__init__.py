"""The signed apt repository of a fleet: `python3 -m aptrepo`. Needs Debian's apt-utils, dpkg and gpg; no library."""
