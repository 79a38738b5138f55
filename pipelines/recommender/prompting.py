"""Prompts of one chunk answered: text to intent, intent to playlist, for each listener with their own history.

    chunk (prompts, listeners, library, feedback, exclusions, earlier intents and playlists) -> intents, playlists

A place to put parts together, as `scoring` is: what each part means stands in `transforms.prompts`. It runs without Beam, so that
`nightshelf playlist` answers one prompt with the same code.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
import polars as pl
from scipy import sparse

from pipelines.recommender.fitting import Fitted
from transforms.candidates.blocks import build_blocks
from transforms.candidates.history import heard_plays, root_plays
from transforms.common.clock import Clock
from transforms.common.hashing import hex_id
from transforms.formats.base import end_of
from transforms.listening.exclusions import still_out
from transforms.listening.exclusions import taste as without_excluded
from transforms.listening.feedback import settled, standing, unwanted, without_pairs
from transforms.listening.library import merge
from transforms.prompts.answer import AnswerSettings, Playlist, answer, flowing, taste
from transforms.prompts.constraints import Listener
from transforms.prompts.followups import followed, others
from transforms.prompts.intent import Intent
from transforms.prompts.music import Music
from transforms.prompts.parser import read
from transforms.prompts.ranking import Nearness
from transforms.prompts.reading import checked, grounded, merged
from transforms.prompts.rows import Asked, Made, intent_rows, playlist_rows
from transforms.prompts.vocabulary import Vocabulary
from transforms.shelves.feedback import BLOCKED, BLOCKED_ARTIST, DISLIKED
from transforms.shelves.ordering import Flow
from transforms.tables.chunks import Chunk
from transforms.tables.schema import TABLES

RULES = "rules"
LISTENERS = 32  # whose scores over the whole catalog are in memory at once


@dataclass(frozen=True)
class PromptPlan(Made):
    """What one run's answers depend on beside the tables.

    Attributes:
        aliases: further spellings of tags.
        model: name of the language model whose readings are used; empty = rules alone.
    """

    settings: AnswerSettings
    aliases: Mapping[str, str] = field(default_factory=dict)
    model: str = ""


class Prompter:
    """Everything loaded once a process."""

    def __init__(
        self, plan: PromptPlan, fitted: Fitted, tracks: pl.DataFrame, artists: pl.DataFrame | None = None
    ) -> None:
        """Put the parts together; `tracks` and `artists` are the tables as of the night."""
        self.plan, self.fitted, self.clock = plan, fitted, Clock()
        self.catalog = fitted.catalog(tracks)
        plays = fitted.learned.popularity.of_market("")
        self.music = Music.build(self.catalog.track_ids.tolist(), tracks, plays)
        each = dict(zip(self.music.track_ids[1:].tolist(), plays[1:].tolist(), strict=True))
        by_artist = np.asarray(self.music.artists.T @ plays).ravel()
        each |= dict(zip(self.music.artist_ids.tolist(), by_artist.tolist(), strict=True))
        self.vocabulary = Vocabulary.build(tracks, artists, each, plan.aliases)
        self.factors = np.asarray(fitted["als"].item_factors)
        size = np.linalg.norm(self.factors, axis=1, keepdims=True)
        vectors = np.divide(self.factors, size, out=np.zeros_like(self.factors), where=size > 0)
        self.near = Nearness(vectors, fitted.learned.neighbours.together)
        self.order = None
        if plan.settings.flows:
            flow = Flow(fitted.learned.neighbours.after, vectors, self.music.main_artist, self.catalog.album)
            self.order = flowing(flow, plan.settings.flow)
        self.played = plays > 0

    def answer(self, chunk: Chunk, answers: Mapping[str, str] | None = None) -> Chunk:
        """Rows of `intents` and `playlists` for every prompt of a chunk.

        Args:
            answers: what a language model answered, by hash of the text; texts it lacks are read by rules alone.
        """
        prompts = chunk["prompts"]
        with self.clock.part("read", prompts.height):
            asked = self.understood(prompts, chunk.tables.get("intents"), answers or {})
        earlier = self._earlier(chunk.tables.get("playlists"))
        made: list[tuple[Asked, Playlist]] = []
        with self.clock.part("answer", prompts.height):
            texts = dict(prompts.select("prompt_id", "text").rows())
            by_listener: dict[str, list[Asked]] = {}
            for a in asked:
                by_listener.setdefault(a.listener_id, []).append(a)
            for listener in self.listeners(chunk, sorted(by_listener)):
                for a in by_listener[listener.listener_id or ""]:
                    before = earlier.get(a.follows or "")
                    kept = None if before is None or others(texts[a.prompt_id]) else before
                    hidden = before if before is not None and others(texts[a.prompt_id]) else None
                    one = self.playlist(a.intent, listener, kept, hidden)
                    earlier[a.prompt_id] = one.rows
                    made.append((a, one))
        return Chunk(
            chunk.shard,
            {
                "intents": intent_rows([a for a, _ in made]),
                "playlists": playlist_rows(made, self.music, self.plan),
            },
        )

    def understood(
        self, prompts: pl.DataFrame, intents: pl.DataFrame | None, answers: Mapping[str, str]
    ) -> list[Asked]:
        """Prompts read, follow-ups applied; earlier ones come before those that follow them."""
        known, readings = {}, dict[str, str]()
        if intents is not None and intents.height:
            known = {i: Intent.model_validate_json(t) for i, t in intents.select("prompt_id", "intent").rows()}
            readings = readings_of(intents, self.plan.model)
        rows = {r["prompt_id"]: r for r in prompts.iter_rows(named=True)}
        hashes = dict(zip(prompts["prompt_id"], hex_id(prompts["text"], purpose="text"), strict=True)) if rows else {}
        out: dict[str, Asked] = {}

        def visit(prompt: str, above: frozenset[str]) -> None:
            row = rows[prompt]
            follows = row["follows"]
            if follows in rows and follows not in out and follows not in above:
                visit(follows, above | {prompt})
            now = read(row["text"], self.vocabulary)
            by_model = self._by_model(row["text"], hashes[prompt], answers, readings)
            now = now if by_model is None else merged(now, by_model)
            now = now.model_copy(update={k: row[k] for k in ("minutes", "size") if row[k] is not None})
            before = out[follows].intent if follows in out else known.get(follows or "")
            intent = followed(before, now, row["text"]) if before is not None else now
            out[prompt] = Asked(
                prompt, row["listener_id"], follows, hashes[prompt], *self._read_by(by_model), now, intent
            )

        for prompt in sorted(rows):
            if prompt not in out:
                visit(prompt, frozenset({prompt}))
        return list(out.values())

    def _by_model(
        self, text: str, text_hash: str, answers: Mapping[str, str], readings: Mapping[str, str]
    ) -> Intent | None:
        """What the model read, checked and grounded: in this run, or of the same text before; None = nothing of use."""
        if text_hash in readings:
            return Intent.model_validate_json(readings[text_hash])
        reading = checked(answers.get(text_hash))
        return None if reading is None else grounded(reading, text, self.vocabulary)

    def _read_by(self, by_model: Intent | None) -> tuple[str, str | None]:
        if by_model is None:
            return RULES, None
        return f"{RULES}+{self.plan.model}", by_model.model_dump_json(exclude_defaults=True)

    def listeners(self, chunk: Chunk, wanted: list[str]) -> Iterator[Listener]:
        """Whoever asks, with what is known of them as of the night; of suspects (table `suspects`) nothing is."""
        ids = pl.DataFrame({"listener_id": pl.Series(wanted, dtype=pl.String)})
        people = chunk["listeners"].select("listener_id", "market", "explicit_ok")
        roster = ids.join(people, on="listener_id", how="left", maintain_order="left")
        said = chunk["feedback"].filter(pl.col("at") < end_of(self.plan.day))
        acts = standing(said)
        library = settled(merge([chunk["library"]]), said).join(ids, on="listener_id", how="semi")
        library = library.join(chunk["suspects"], on="listener_id", how="anti")  # a machine is answered as a newcomer
        liked = without_pairs(without_excluded(library, still_out(chunk["exclusions"], said)), unwanted(acts))
        none, refused = TABLES["sessions"].empty(), self._blocked(acts)
        market = dict(roster.select("listener_id", "market").rows())
        explicit = dict(roster.select("listener_id", "explicit_ok").rows())
        for block in build_blocks(roster, liked, none, self.catalog, self.plan.day, size=LISTENERS):
            company = sparse.csr_matrix(root_plays(block) @ self.near.together)
            vectors = self.fitted["als"].fold_in(heard_plays(block))
            fits = vectors @ self.factors.T
            heard = block.heard(self.catalog)
            for row, listener in enumerate(block.listener_ids):
                known = heard.indices[heard.indptr[row] : heard.indptr[row + 1]]
                mask = np.zeros(len(self.music), bool)
                mask[known] = True
                parts = [fits[row], np.sqrt(company[row].toarray().ravel())] if len(known) else []
                yield Listener(
                    listener_id=listener,
                    market=market[listener],
                    explicit_ok=explicit[listener] is not False,
                    blocked=refused(listener),
                    heard=mask if len(known) else None,
                    scores=taste(parts, self.played),
                )

    def playlist(
        self, intent: Intent, listener: Listener, kept: np.ndarray | None = None, hidden: np.ndarray | None = None
    ) -> Playlist:
        """One intent answered; `kept` rows come first in their tier, `hidden` ones are left out."""
        if hidden is not None and len(hidden):
            mask = self.music.versions(hidden)
            blocked = mask if listener.blocked is None else listener.blocked | mask
            listener = Listener(**{**listener.__dict__, "blocked": blocked})
        order = self.order if kept is None else None  # what stood before stands first
        return answer(intent, self.music, listener, self.plan.day, self.near, self.plan.settings, order, kept)

    def _blocked(self, standing_acts: pl.DataFrame) -> Callable[[str], np.ndarray | None]:
        """What a listener has blocked or disliked and not taken back, as a function of the listener."""
        acts = standing_acts.filter(pl.col("kind").is_in([BLOCKED, DISLIKED, BLOCKED_ARTIST]))
        by = {str(k[0]): f for k, f in acts.partition_by("listener_id", as_dict=True).items()}

        def of(listener: str) -> np.ndarray | None:
            mine = by.get(listener)
            if mine is None:
                return None
            tracks = mine.filter(pl.col("kind") != BLOCKED_ARTIST)["target"].to_list()
            artists = mine.filter(pl.col("kind") == BLOCKED_ARTIST)["target"].to_list()
            return self.music.versions(self.music.rows(tracks)) | self.music.credited(artists)

        return of

    def _earlier(self, playlists: pl.DataFrame | None) -> dict[str, np.ndarray]:
        """Prompt -> rows of the list it got."""
        if playlists is None or not playlists.height:
            return {}
        found = {}
        for prompt, items in playlists.select("prompt_id", "items").rows():
            found[prompt] = self.music.rows(i["track_id"] for i in items)
        return found


def readings_of(intents: pl.DataFrame, model: str) -> dict[str, str]:
    """Hash of a text -> what this model read in it before, as JSON."""
    mine = intents.filter((pl.col("read_by") == f"{RULES}+{model}") & pl.col("model_intent").is_not_null())
    return dict(mine.select("text_hash", "model_intent").rows())


def unread(chunk: Chunk, model: str) -> list[tuple[str, str]]:
    """(hash, text) of the prompts of a chunk that this model has not read yet."""
    prompts = chunk["prompts"]
    if not prompts.height:
        return []
    readings = readings_of(chunk["intents"], model)
    hashes = hex_id(prompts["text"], purpose="text")
    return [(h, t) for h, t in zip(hashes, prompts["text"], strict=True) if h not in readings]
