"""What both services share: configuration, engine supervision, images, the HTTP layer.

Imports neither service and no inference library.
"""

__version__ = "0.1.0"
