"""Rows by key where apps read them: what a night's shelves become in files of lines or in Bigtable."""
