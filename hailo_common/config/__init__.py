"""Configuration: one table of keys per service feeds loader, help, commented YAML and docs."""
