"""What programs for llama.cpp's server ask beside OpenAI's API:
<https://github.com/ggml-org/llama.cpp/tree/master/tools/server>.
"""
