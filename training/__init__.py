"""Makes and measures the demo models; no service imports this package."""
