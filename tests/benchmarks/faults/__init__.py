"""Every fault of the survival bench, one family a file."""
