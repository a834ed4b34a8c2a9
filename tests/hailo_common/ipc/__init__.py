"""Tests of hailo_common.ipc."""
