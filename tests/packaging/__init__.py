"""What debian/ says, against the code it packages. No root, no Debian."""
