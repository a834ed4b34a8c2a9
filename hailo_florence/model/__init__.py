"""What Florence-2 is on every backend: prompts, pixels, generation."""
