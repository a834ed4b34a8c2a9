"""hailo-vision's model of everyday things: conversations about reported lists, and its training."""
