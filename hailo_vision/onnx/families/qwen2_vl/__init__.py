"""Qwen2-VL: its configuration, preprocessing, positions and vision encoder."""
