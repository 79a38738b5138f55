"""The rule parser on people's own requests: precision and recall by kind, beside a plain keyword matcher.

    python -m tests.benchmarks.prompts_parser --data DIR [--part held-out]

DIR holds `music-reco-intent/requests.csv` (descriptors by kind with + / - / ~), `music-ner/dataset{1,2,3}/test.bio` (spans of
artists and works), and what a catalog's vocabulary is made of: `hetrec-lastfm-2k` (artists, tags used at least `LEAST` times)
and `yes-complete-tags` (songs, artists, tags).

Split: of the requests those whose id has an even first byte of md5 were developed on, the others are reported; of music-ner,
datasets 1 and 2 were developed on, 3 is reported. A prediction matches a gold phrase if they share a word that is not a common
one (`exact`: all words). The keyword matcher finds the same vocabulary's phrases, longest first, and years by digits; it knows
no cues.
"""

from __future__ import annotations

import argparse
import ast
import csv
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from hashlib import md5
from pathlib import Path

from tests.benchmarks.prompts_data import Bio, bio, vocabulary_of
from transforms.prompts.lexicon import COMMON, KIND
from transforms.prompts.mentions import NAMES, read_words
from transforms.prompts.parser import read
from transforms.prompts.vocabulary import Vocabulary
from transforms.prompts.words import words

KINDS = {"Genre": "genre", "Mood": "mood", "Instrument": "instrument", "ListeningContext": "use", "country": "country"}
DIGITS = re.compile(r"\d|century|ties\b")


@dataclass(frozen=True)
class Phrase:
    """A phrase with its kind (years, era, name, genre, ...) and sign."""

    text: str
    kind: str
    sign: str = "+"

    def words(self) -> frozenset[str]:
        """Its words that say something; all of them if none does."""
        found = frozenset(w.text for w in words(self.text) if not w.breaks)
        return found - COMMON or found


Reader = Callable[[str], list[Phrase]]


def by_rules(vocabulary: Vocabulary) -> Reader:
    """What the parser reads."""

    def reader(text: str) -> list[Phrase]:
        found = read_words(text, vocabulary)
        out = [
            Phrase(f.text, "years", s)
            for f, s in zip(found.numbers, found.number_signs, strict=True)
            if f.field == "years"
        ]
        era = read(text, vocabulary).era
        asked = [Phrase(w, "era") for w in _era_words(text, era)]
        denied = {"recent": "old", "old": "recent"}.get(era or "")
        out += asked or [Phrase(w, "era", "-") for w in _era_words(text, denied)]
        for m in found.mentions:
            out.append(Phrase(m.text, "name" if m.kind in NAMES else m.kind, m.sign))
        return out

    return reader


def _era_words(text: str, era: str | None) -> Iterator[str]:
    named = {
        "recent": ("modern", "recent", "contemporary", "current", "latest", "newer", "new"),
        "old": ("old", "oldies", "older", "vintage", "classic"),
    }
    for w in words(text):
        if w.text in named.get(era or "", ()):
            yield w.text
            return


def by_keywords(vocabulary: Vocabulary) -> Reader:
    """Longest phrases of the same vocabulary, years by digits, every sign +."""

    def reader(text: str) -> list[Phrase]:
        plain = [w.text for w in words(text)]
        out = [Phrase(m.group(), "years") for m in re.finditer(r"\b(?:(?:19|20)\d\d|\d0)s?\b", text)]
        n = 0
        while n < len(plain):
            for length in range(min(8, len(plain) - n), 0, -1):
                said = " ".join(plain[n : n + length])
                kind = KIND.get(said) or ("tag" if vocabulary.tags.get(said) else None)
                kind = kind or ("name" if said in vocabulary.artists or said in vocabulary.titles else None)
                if kind and (length > 1 or said not in COMMON):
                    out.append(Phrase(said, kind))
                    n += length - 1
                    break
            n += 1
        return out

    return reader


def gold_of(row: dict[str, str]) -> list[Phrase]:
    """A request's descriptors."""
    out = []
    for kind, found in ast.literal_eval(row["intents"]).items():
        for text, sign in found:
            if kind == "Decade":
                out.append(Phrase(text, "years" if DIGITS.search(text) else "era", sign))
            else:
                out.append(Phrase(text, KINDS.get(kind, "name" if kind in ("NE", "EN") else kind), sign))
    return out


@dataclass
class Count:
    """Gold and predicted phrases, and how many of each found a partner."""

    gold: int = 0
    found: int = 0
    predicted: int = 0
    right: int = 0

    def __str__(self) -> str:
        recall = self.found / self.gold if self.gold else float("nan")
        precision = self.right / self.predicted if self.predicted else float("nan")
        return (
            f"precision {precision:.3f} ({self.right}/{self.predicted})  recall {recall:.3f} ({self.found}/{self.gold})"
        )


def matched(a: Phrase, others: Iterable[Phrase], exact: bool = False) -> bool:
    """Whether a phrase has a partner."""
    mine = a.words()
    return any(mine == o.words() if exact else mine & o.words() for o in others)


def measure(rows: list[tuple[str, list[Phrase]]], reader: Reader, misses: dict | None = None) -> dict[str, Count]:
    """Counts by kind; a word of the tags counts for any of their kinds, since which one it is depends on who says it."""
    out: dict[str, Count] = defaultdict(Count)
    terms = {*KINDS.values(), "tag"}
    for text, gold in rows:
        found = reader(text)
        for kind in ("years", "era", "name"):
            _add(
                out[kind], text, kind, [g for g in gold if g.kind == kind], [p for p in found if p.kind == kind], misses
            )
        mine, said = [p for p in found if p.kind in terms], [g for g in gold if g.kind in terms]
        _add(out["all tags"], text, "all tags", said, mine, misses)
        _add(
            out["names, exact"],
            text,
            "exact",
            [g for g in gold if g.kind == "name"],
            [p for p in found if p.kind == "name"],
            None,
            True,
        )
        for kind in KINDS.values():
            out[kind].gold += sum(g.kind == kind for g in said)
            out[kind].found += sum(matched(g, mine) for g in said if g.kind == kind)
            out[kind].predicted += sum(p.kind == kind for p in mine)
            out[kind].right += sum(matched(p, said) for p in mine if p.kind == kind)
        minus = [g for g in gold if g.sign == "-"]
        _add(out["left out (-)"], text, "-", minus, [p for p in found if p.sign == "-"], misses)
        like = [g for g in gold if g.sign == "~" and g.kind == "name"]
        _add(out["examples (~)"], text, "~", like, [p for p in found if p.sign == "~" and p.kind == "name"], None)
    return out


def _add(
    count: Count,
    text: str,
    kind: str,
    gold: list[Phrase],
    found: list[Phrase],
    misses: dict | None,
    exact: bool = False,
) -> None:
    count.gold += len(gold)
    count.predicted += len(found)
    count.found += sum(matched(g, found, exact) for g in gold)
    count.right += sum(matched(p, gold, exact) for p in found)
    if misses is not None:
        lost = [g.text for g in gold if not matched(g, found)]
        wrong = [p.text for p in found if not matched(p, gold)]
        if lost or wrong:
            misses[kind].append((text, lost, wrong))


def requests(data: Path, held_out: bool) -> list[tuple[str, list[Phrase]]]:
    """Requests of one half, each with its gold."""
    with (data / "music-reco-intent" / "requests.csv").open(encoding="utf8") as lines:
        rows = list(csv.DictReader(lines))
    odd = [bool(md5(r["ID"].encode(), usedforsecurity=False).digest()[0] % 2) for r in rows]
    return [(r["query"], gold_of(r)) for r, o in zip(rows, odd, strict=True) if o == held_out]


def spans(data: Path, held_out: bool) -> list[tuple[str, list[Phrase]]]:
    """Requests with spans of artists and works, of the datasets of one part."""
    parts = (3,) if held_out else (1, 2)
    found: list[Bio] = [b for n in parts for b in bio(data / "music-ner" / f"dataset{n}" / "test.bio")]
    return [(b.text, [Phrase(t, "name") for t, _ in b.spans]) for b in found]


def main() -> None:
    """Print precision and recall."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--part", choices=["develop", "held-out"], default="held-out")
    parser.add_argument("--misses", nargs="*", default=[])
    o = parser.parse_args()
    vocabulary = vocabulary_of(o.data)
    print(
        f"vocabulary: {len(vocabulary.artists):,} artists, {len(vocabulary.titles):,} titles, {len(vocabulary.tags):,} tags"
    )
    held = o.part == "held-out"
    for name, rows in (("music-reco-intent", requests(o.data, held)), ("music-ner", spans(o.data, held))):
        for how, reader in (("rules", by_rules(vocabulary)), ("keywords", by_keywords(vocabulary))):
            misses: dict[str, list] = defaultdict(list)
            made = measure(rows, reader, misses)
            print(f"\n{name}, {o.part}, {len(rows)} requests, {how}")
            for kind, count in made.items():
                if count.gold and (name == "music-reco-intent" or kind in ("name", "names, exact")):
                    print(f"  {kind:14} {count}")
            if how == "rules" and not held:
                for kind in o.misses:
                    for text, lost, wrong in misses[kind]:
                        print("   *", text[:300], "| lost", lost, "| wrong", wrong)


if __name__ == "__main__":
    main()
