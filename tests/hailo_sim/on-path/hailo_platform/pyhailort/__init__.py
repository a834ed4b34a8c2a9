"""As in the real package: `pyhailort` is what programs import, `_pyhailort` the native part."""
