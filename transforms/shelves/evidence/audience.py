"""How many have heard a track: for shelves of what hardly anybody knows, and for slots of new tracks."""

from __future__ import annotations

from transforms.shelves.evidence.base import Evidence, Found, Scene


def make(scene: Scene) -> Found:
    """Listeners of the very track, as the models know them; NaN unknown."""
    return Found({"listeners": scene.history.side.listeners[scene.rows.track]})


EVIDENCE = Evidence(("listeners",), make)
