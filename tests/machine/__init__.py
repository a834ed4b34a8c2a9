"""The packages in a real Debian 13: `make machine-test` (root). Not collected without HAILO_MACHINE_TEST."""
