"""llama.cpp's functions for ctypes: hailo_llama.llama_cpp and hailo_llama.mtmd_cpp."""

__version__ = "0.3.36"
