"""What is known of the Hailo chip without its library: device nodes, status numbers, the surface we call."""
