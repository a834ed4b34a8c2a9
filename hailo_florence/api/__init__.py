"""The HTTP side of hailo-florence: routes, requests, answers. Loads no inference library."""
