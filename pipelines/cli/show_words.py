"""What the columns and the lines of `nightshelf show --why` mean, in the terms of the features that occur."""

from __future__ import annotations

from collections.abc import Iterable

COLUMNS = (
    "score: what ordered the shelf; higher is earlier, and only tracks of one shelf compare",
    "why: the reason as the listener reads it. (drawn, p = 0.05): an open slot drew the track with that probability",
    "found by: the sources that retrieved the track, each with the rank it gave it and (in brackets) its own score",
    "moved by: what moved the ranker's score most, in units of the score; + earlier, - later",
)
_FAMILIES = {  # beginning of a feature's name -> what those that begin so are
    "signal_": "signal_X: of a signal (docs/signals.md): l of the listener, t of the track, match how alike, p of the pair",
    "z_": "z_X: score of source X, standardised among the listener's candidates",
    "s_": "s_X: score of source X, which the untrained blend does not sum",
    "r_": "r_X: rank in source X: 1 for the first, 0 where X did not retrieve it",
    "t_": "t_X: of the track: plays, trend, freshness, listeners, how often it is skipped or completed",
    "l_": "l_X: of the listener: appetite for new tracks, sessions, size of the library",
    "o_": "o_X: of the listener's own plays of it: how many, how lately, how they ended",
    "company": "company: how much of what it is played together with the listener knows (of the last, of recent sessions)",
    "album": "album_X: whether its album is heard, and whether it comes next on it",
    "artist": "artist_X: how much, how lately and with what share the listener plays its artists",
    "next": "next_X: how often it follows what was played last, or lately",
    "agree": "agree: how many sources retrieved it",
    "alike": "alike_clusters: how many clusters of listeners alike heard it",
    "blend": "blend: sum of the standardised scores and ranks",
    "co_recent": "co_recent: how often sessions hold it with recent plays",
    "heard": "heard: whether it was heard before",
    "like": "like_sessions: likeness to the last sessions",
    "link": "link_best: strength of its closest link to the history",
}


def legend(features: Iterable[str]) -> list[str]:
    """Lines that explain the columns, and of features those that occur.

    Args:
        features: names as they are shown, without `f_`.

    >>> legend(["z_als", "z_ease", "agree"])[-2:]
    ["  z_X: score of source X, standardised among the listener's candidates", '  agree: how many sources retrieved it']
    """
    shown = {beginning for feature in features for beginning in _FAMILIES if feature.startswith(beginning)}
    return [*COLUMNS, *(f"  {words}" for beginning, words in _FAMILIES.items() if beginning in shown)]
