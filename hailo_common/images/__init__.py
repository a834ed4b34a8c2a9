"""Images from strangers, decoded by a small, limited, killable child process.

The service's process loads `decoder` and `supervisor`; the child loads `child`, `decode` and
`probe`. Both load `limits` and `resize`. Pillow is imported in the child alone.
"""

SAMPLE = (
    "data:image/png;base64,"
    "iVBORw0KGgoAAAANSUhEUgAAAGAAAABgAQMAAADYVuV7AAAABlBMVEXIyMjcHh6YnY4NAAAAs0lEQVR42u3SsW3DMBQE0CdS"
    "hTtng3gUeZOM5lE4ikqXLlKoUMIU+pQNSEASJKWv+ODx7h8/SPLEdzhOIIOp70oTcq3j3VXrBAle6FfyFr0ZCrqyKB0MYUtw"
    "ikUfIctuQ8JBlBQO/Z7t5DH2URnEyRtln+QYmq78tOfPJLebcf5VQIG6p4zwuafcYA4yibKxzcKbIsgYpLZ3XX7IwLk1vtY6"
    "r4PeIiTBO9eVfHDZ/Lcn/gFfTIklCKxmzUwAAAAASUVORK5CYII="
)
"""A red circle on grey, 96 x 96 pixels, as a `data:` URL."""
