"""The web front door both services share: application factory, limits, errors, health and metrics."""
