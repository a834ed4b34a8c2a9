"""Conversations on the Hailo chip."""
