"""Florence-2 captions and visual question answering as a service."""
