"""The eye of the embedded models: a detector of everyday things inside the vision encoder's own file."""
