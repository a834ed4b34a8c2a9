"""The engine process and its supervisor.

`contract` is what an engine is, `child` runs one in its own process, `supervisor` owns that process.
"""
