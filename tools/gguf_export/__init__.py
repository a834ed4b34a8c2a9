"""A Qwen2-VL folder in the ONNX layout as llama.cpp's two files: the language model and its projector."""
