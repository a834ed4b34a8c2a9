"""Ollama's API: <https://github.com/ollama/ollama/blob/main/docs/api.md>. Errors are strings, streams
lines of JSON.
"""
