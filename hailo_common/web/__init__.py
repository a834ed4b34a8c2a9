"""The HTTP layer both services share: application factory, checks, limits, errors, health and metrics."""
