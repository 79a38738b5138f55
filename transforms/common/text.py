"""One rule for text that people wrote: when two titles, names of artists or targets of feedback are the same.

Logs, catalogs and feedback spell a name as they like: composed or decomposed accents, full-width letters, capitals, `&`
or `and`, straight or curved apostrophes, two spaces for one. `folded` is the part that all rules share, `name_key` compares
names and ids of artists, `normalised_title` and `version_words` compare titles. Keys are for comparing only: what is stored
and shown stays as it came.

    >>> names = ["Bjo\\u0308rk", "BJÖRK", "Simon & Garfunkel", "simon and  garfunkel", "Guns N’ Roses", "guns n' roses"]
    >>> pl.DataFrame({"n": names}).select(name_key(pl.col("n"))).to_series().to_list()
    ['bjork', 'bjork', 'simon and garfunkel', 'simon and garfunkel', 'guns n roses', 'guns n roses']

What a title says in brackets or after a dash is either plain (a remaster, mono, feat., a bare year), and then ignored, or
names another version (live, remix, karaoke), and then kept:

    >>> titles = ["Help!", "Help! - 2009 Remaster", "Help (Live)", "Café (feat. Ann)", "CAFE"]
    >>> pl.DataFrame({"t": titles}).select(normalised_title(pl.col("t"))).to_series().to_list()
    ['help', 'help', 'help live', 'cafe', 'cafe']

Source of the normal forms: Unicode Standard Annex 15.
"""

from __future__ import annotations

import polars as pl

_APOSTROPHES = "[’'`´ʼ]"
_YEAR = r"(?:19|20)\d\d"
_REMASTER = (
    rf"(?:{_YEAR} )?(?:(?:digital|digitally|newly|original|mono|stereo|\d+th anniversary) )*re ?master(?:ed|s|ing)?"
    rf"(?: (?:version|edition|mono|stereo|album|single|in|for|from|{_YEAR}|\d{{1,2}} bit))*"
)
_PLAIN = (
    rf"{_YEAR}|{_REMASTER}|(?:{_YEAR} )?(?:mono|stereo)(?: (?:version|mix|{_YEAR}))*"
    r"|(?:explicit|clean|censored|uncensored|dirty)(?: (?:album|single|lp))?(?: version)?"
    r"|(?:the )?(?:original )?(?:album|single|lp|radio|original)(?: (?:version|edit|mix))?"
    r"|bonus(?: track)?|(?:super )?deluxe(?: (?:edition|version))?"
    r"|(?:feat|ft|featuring) [^()\[\]{}]+"
)
_VERSION = (
    r"\b(live|unplugged|acoustic|remix|remixed|rmx|mix|cover|karaoke|instrumental|demo|acapella|a cappella|orchestral"
    r"|extended|dub|reprise|sped up|slowed|nightcore|session|sessions|rehearsal|outtake|alternate|take|edit|rework"
    r"|bootleg|piano|strings|taylors version|re recorded|rerecorded|medley)\b"
)
_DASH = r"\s+[-–—]\s+([^()\[\]{}–—]*?)\s*((?:[(\[{][^()\[\]{}]*[)\]}]\s*)*)$"
_BARE_FEAT = r"\s(?:feat\.|ft\.|featuring\s|feat\s)[^()\[\]{}]*"
_BRACKETS = r"[(\[{]([^()\[\]{}]*)[)\]}]"


def folded(text: pl.Expr) -> pl.Expr:
    """Lower case without Latin accents: "Björk" and "bjork" are one name; other scripts keep their marks.

    Control characters, which broken tags carry, count as spaces.
    """
    latin = text.str.replace_all(r"\p{Cc}+", " ").str.normalize("NFKD").str.replace_all(r"[\u{0300}-\u{036F}]", "")
    return latin.str.normalize("NFKC").str.to_lowercase().str.replace_all("ß", "ss")


def _plainly_spelt(text: pl.Expr) -> pl.Expr:
    """Folded, without apostrophes, with `&` as the word it stands for."""
    return folded(text).str.replace_all(_APOSTROPHES, "").str.replace_all("&", " and ")


def name_key(name: pl.Expr) -> pl.Expr:
    """What two spellings of an artist's name (or id) share; null for null and for blanks.

    Punctuation stays, since it is all that some names have ("!!!"); every dash is one dash and every run of blanks one.
    """
    out = _plainly_spelt(name).str.replace_all(r"\p{Pd}", "-").str.replace_all(r"\s+", " ").str.strip_chars()
    return pl.when(out != "").then(out)


def name_keys(names: pl.Expr) -> pl.Expr:
    """`name_key` of each element of a list column; names without a letter or sign are left out."""
    return names.list.eval(name_key(pl.element()).drop_nulls())


def _bracketed(title: pl.Expr) -> pl.Expr:
    """Folded title with what follows a dash in brackets, and without its plain qualifiers."""
    out = _plainly_spelt(title).str.strip_chars()
    for _ in range(3):
        out = out.str.replace(_DASH, " (${1}) ${2}")
    out = out.str.replace(_BARE_FEAT, " ")
    spaced = out.str.replace_all(r"([(\[{])\s+", "${1}").str.replace_all(r"[-./:,\s]+", " ")
    spaced = spaced.str.replace_all(r"\s+([)\]}])", "${1}")
    return spaced.str.replace_all(rf"[(\[{{](?:{_PLAIN})(?: (?:{_PLAIN}))*[)\]}}]", " ")


def normalised_title(title: pl.Expr) -> pl.Expr:
    """Words of a title without its plain qualifiers; of a title without any letter or digit, the title itself."""
    words = _bracketed(title).str.replace_all(r"[^\p{L}\p{N}\p{M}]+", " ").str.strip_chars()
    return pl.when(words != "").then(words).otherwise(folded(title).str.strip_chars())


def song_title(title: pl.Expr) -> pl.Expr:
    """Words of a title without anything in brackets or after a dash: what a song and its live version share; null for null."""
    words = (
        _bracketed(title).str.replace_all(_BRACKETS, " ").str.replace_all(r"[^\p{L}\p{N}\p{M}]+", " ").str.strip_chars()
    )
    return pl.when(words != "").then(words).otherwise(normalised_title(title))


def version_words(title: pl.Expr) -> pl.Expr:
    """The kinds of version named in brackets or after a dash, sorted and joined; empty for a plain title or none."""
    said = _bracketed(title).str.extract_all(_BRACKETS).list.join(" ")
    return said.str.extract_all(_VERSION).list.unique().list.sort().list.join(" ").fill_null("")
