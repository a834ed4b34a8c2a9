"""Drawn scenes, the language about them, and what every training run shares."""
