"""Foreign packages and file formats."""
