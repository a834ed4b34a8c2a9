"""The signed apt repository of a fleet: `python3 -B -m fleet.repository`. Needs apt-utils, dpkg and gpg."""
