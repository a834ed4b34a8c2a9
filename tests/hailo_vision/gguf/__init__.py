"""Tests of hailo_vision.gguf, over llama.cpp itself."""
