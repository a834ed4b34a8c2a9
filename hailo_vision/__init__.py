"""Qwen2-VL conversations about images as a service."""
