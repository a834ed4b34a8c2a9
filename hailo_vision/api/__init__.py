"""The HTTP side of hailo-vision: routes, requests, answers. Loads no inference library."""
