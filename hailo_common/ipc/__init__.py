"""How a service's processes talk: messages with file descriptors, and spawned children."""
