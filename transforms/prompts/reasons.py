"""Why a track is on a prompted playlist: codes that are stored, and the words made of them.

>>> sentence("tagged", "jazz"), sentence("like_example", None)
('tagged jazz', 'like what you named')
"""

from __future__ import annotations

_WITH_REF = {"tagged": "tagged {}", "like_example": "like {}", "asked_artist": "by an artist you named"}
_PLAIN = {
    "tagged": "answers a word of yours",
    "like_example": "like what you named",
    "asked_artist": "by an artist you named",
    "asked_track": "you named it",
    "for_you": "fits what you play",
    "popular_in": "popular, and fits what you asked for",
}


def sentence(reason: str, ref: str | None) -> str:
    """A reason in words."""
    return (
        _WITH_REF[reason].format(ref) if ref and reason in _WITH_REF else _PLAIN.get(reason, reason.replace("_", " "))
    )
