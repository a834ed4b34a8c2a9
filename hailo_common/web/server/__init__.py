"""uvicorn made strict: the only code that touches uvicorn's private methods."""
