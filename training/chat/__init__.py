"""Trains and measures the demo model of hailo-vision."""
