"""The stages of Florence-2 on the Hailo chip."""
