"""The night's report: one self-contained HTML page, from what the warehouse says of itself."""
