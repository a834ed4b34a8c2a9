"""Makes and measures the demo model; no service imports this package."""
