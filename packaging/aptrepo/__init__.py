"""The signed apt repository of a fleet: `python3 -m aptrepo`. Needs apt-utils, dpkg and gpg."""
