"""hailo-vision's tools for the Model Context Protocol."""
