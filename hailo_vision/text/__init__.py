"""Text for every backend: chat template, special tokens, context window, stop strings."""
