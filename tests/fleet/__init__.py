"""Tests of what a fleet needs; those that boot machines are marked `fleet` and need root."""
