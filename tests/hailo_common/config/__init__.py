"""Tests of the configuration and of atomic files."""
