"""Tools, in whatever dialect they are declared: how a model is told of them, and what it calls."""
