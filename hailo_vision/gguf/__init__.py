"""Chat models in llama.cpp's file format, on the CPU, several conversations at once."""
