"""The models of the manifest: which of them this machine wants, where they lie, and how they come here."""
