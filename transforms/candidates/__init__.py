"""Candidate sources, one a file, and the ranker's features over their union."""
