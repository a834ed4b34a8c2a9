"""The NPU: what can be known of it without HailoRT, and the one module that loads HailoRT (`hailort`)."""
