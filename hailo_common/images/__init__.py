"""Pictures from strangers: decoded by a small, limited, killable process of their own."""
