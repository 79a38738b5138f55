"""Why a track stands on a shelf: a code that is stored, and the sentence made of it when shown.

The source that found a track names the reason; the listener's track that contributed most (`reason_ref`) fills it in.
Without that track, the plain reason of the source remains.

    >>> sentence("because_you_played", "Roads")
    'because you played Roads'
    >>> sentence("because_you_played", None)
    'because of what you play'
"""

from __future__ import annotations

import polars as pl

_OTHERWISE = "for_you"

_WITH_REF = {
    "because_you_played": "because you played {}",
    "played_together_with": "often played together with {}",
    "follows": "often follows {}",
    "listeners_like_you": "played by listeners who play {}",
    "new_from": "new, by an artist of {}",
    "near_artist": "by an artist near that of {}",
    "same_album": "from the album of {}",
    "similar_to": "similar to {}",
    "popular_in": "popular in {}",
}
_PLAIN = {
    "because_you_played": "because of what you play",
    "played_together_with": "often played together with what you play",
    "follows": "often follows what you played last",
    "listeners_like_you": "played by listeners like you",
    "new_from": "new, by an artist you play",
    "new_from_followed": "new, by an artist you follow",
    "near_artist": "by an artist near those you play",
    "same_album": "from an album you play",
    "similar_to": "similar to what you play",
    "popular_in": "popular now",
    "you_keep_playing": "you keep playing it",
    "you_played_it": "you have played it before",
    "not_heard_lately": "you have not heard it for a while",
    "for_you": "fits what you play",
    "fits_everyone": "fits everyone in the group",
    "fits_you": "fits you, for the others to hear",
    "fits_others": "fits others in the group",
}


def with_reasons(rows: pl.DataFrame) -> pl.DataFrame:
    """Fill in `reason` where no source has given one."""
    return rows.with_columns(pl.col("reason").fill_null(_OTHERWISE))


def sentence(reason: str | None, ref: str | None) -> str:
    """The reason in words; `ref` is a title or a market, null when there is none."""
    if reason is None:
        return ""
    if ref and reason in _WITH_REF:
        return _WITH_REF[reason].format(ref)
    return _PLAIN.get(reason, reason.replace("_", " "))
