"""Prompted playlists: text to intent, intent to constraints and wishes, and the playlist they make."""
