"""Writes checkpoints as ONNX graphs in the Hugging Face layout."""
