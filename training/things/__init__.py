"""Lists of everyday things, as a detector reports them, and what is said about them."""
