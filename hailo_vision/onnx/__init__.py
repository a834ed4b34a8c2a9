"""Conversations on ONNX Runtime."""
