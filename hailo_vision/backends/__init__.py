"""The stages of Qwen2-VL and what they can run on."""
