"""Tools for those who build and publish: documentation, HEF export. No service imports this package."""
