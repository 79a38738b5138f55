"""Public sets that prompts are measured on, read; and a vocabulary of real names and tags made of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from transforms.prompts.vocabulary import Vocabulary

LEAST = 5


@dataclass(frozen=True)
class Bio:
    """A request and its spans: (text, Artist or WoA)."""

    text: str
    spans: tuple[tuple[str, str], ...]


def bio(path: Path) -> Iterator[Bio]:
    """Requests of a file of words with B-/I-/O marks; neighbouring marks of two kinds are two spans."""
    for block in path.read_text(encoding="utf8").split("\n\n"):
        pairs = [line.split("\t")[:2] for line in block.splitlines() if "\t" in line]
        found: list[tuple[list[str], str]] = []
        for word, mark in pairs:
            if mark.startswith("B-"):
                found.append(([word], mark[2:]))
            elif mark.startswith("I-") and found:
                found[-1][0].append(word)
        if pairs:
            yield Bio(" ".join(w for w, _ in pairs), tuple((" ".join(w), kind.partition("_")[0]) for w, kind in found))


def hetrec_tags(data: Path) -> pl.DataFrame:
    """listener, artist, tag (text): who tagged whom with what, both files."""
    folder = data / "hetrec-lastfm-2k-tags"
    frames = [pl.read_csv(folder / f, separator="\t") for f in ("user_taggedartists.dat", "user_taggedartists_2.dat")]
    names = tab(data / "hetrec-lastfm-2k" / "tags.dat", ("tagID", "tagValue"))
    said = pl.concat(frames).unique().join(names.with_columns(pl.col("tagID").cast(pl.Int64)), on="tagID")
    return said.select(listener="userID", artist="artistID", tag="tagValue")


def tab(path: Path, names: tuple[str, ...]) -> pl.DataFrame:
    """Some columns of a tab-separated file of mixed encodings."""
    lines = path.read_bytes().decode("utf8", "replace").splitlines()
    head = lines[0].split("\t")
    rows = [line.split("\t") for line in lines[1:]]
    at = [head.index(n) for n in names]
    return pl.DataFrame({n: [r[i] if i < len(r) else None for r in rows] for n, i in zip(names, at, strict=True)})


def vocabulary_of(data: Path) -> Vocabulary:
    """Artists of hetrec-lastfm-2k, songs and artists of yes-complete, tags of both that were used at least `LEAST` times."""
    artists = tab(data / "hetrec-lastfm-2k" / "artists.dat", ("id", "name"))
    used = Counter(hetrec_tags(data)["tag"].to_list())
    tags = [t for t, n in used.items() if n >= LEAST]
    plays = (
        pl.read_csv(data / "hetrec-lastfm-2k" / "user_artists.dat", separator="\t").group_by("artistID").agg(pl.len())
    )
    heard = {f"h{i}": float(n) for i, n in plays.rows()}
    songs = [line.split("\t") for line in (data / "yes-complete-tags" / "song_hash.txt").read_text("utf8").splitlines()]
    songs = [s for s in songs if len(s) >= 3]
    tags += [
        line.partition(", ")[2] for line in (data / "yes-complete-tags" / "tag_hash.txt").read_text("utf8").splitlines()
    ]
    performers = {s[2].strip() for s in songs}
    names = [(f"h{i}", n) for i, n in artists.rows()] + [(f"y {n}", n) for n in sorted(performers)]
    rows = {
        "track_id": [s[0].strip() for s in songs],
        "title": [s[1].strip() for s in songs],
        "artist_ids": [[f"y {s[2].strip()}"] for s in songs],
    }
    tracks = pl.DataFrame(
        {**rows, "tags": [tags, *([[]] * (len(songs) - 1))]}, schema_overrides={"tags": pl.List(pl.String)}
    )
    named = pl.DataFrame(names, schema=["artist_id", "name"], orient="row")
    return Vocabulary.build(tracks, named, heard)
