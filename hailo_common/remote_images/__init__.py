"""Images by address: a program of its own, with its own user and network, fetches them for the services.

The services have no network. `client` is what they know of it; all else runs in hailo-images.service.
"""
