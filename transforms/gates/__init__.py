"""Checks before a batch or a night becomes current: what is measured, what is expected, PASS or FAIL."""
