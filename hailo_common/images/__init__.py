"""Images from strangers, decoded by a small, limited, killable child process.

The service's process loads `decoder`, `supervisor` and `handles`; the child loads `child`, `decode` and
`probe`. Both load `limits` and `resize`. Pillow is imported in the child alone.
"""
