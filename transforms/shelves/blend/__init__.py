"""Blend: one list of tracks for a group of two to ten listeners, and for each of them a row of their own."""
