"""Models of the manifest: which are wanted, where they lie, how they come here. Imports no service."""
