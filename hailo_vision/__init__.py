"""Qwen2-VL conversations about pictures as a service."""
