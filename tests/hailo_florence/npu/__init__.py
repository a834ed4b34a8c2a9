"""hailo-florence on the simulated Hailo chip."""
