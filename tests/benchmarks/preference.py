"""Preference tuning in the live world: the supervised decoder's shelves against the tuned one's, for listeners who answer.

    python -m tests.benchmarks.preference [--listeners 200] [--tracks 600] [--seeds 101 102 103] [--beta 0.1] [--rate 3e-4]

The world is that of `nightshelf live` (`transforms.simulation.live`), without whole nights, which would take hours: two stand-ins
for shelves of Home show what a decoder scores best, 12 tracks never heard and 12 heard before, none that was shown within three
days; the last three slots of each are drawn from the best 40. In a first span of days everybody gets the lists of a decoder that
was fitted on history alone. What came of them goes through `transforms.outcomes.join`, as in a night. A decoder is then fitted on
all listening so far (`pipelines.recommender.parts.generative`) and tuned by what was preferred; the gate judges it on listeners
that were held out. Then two worlds part, of equal luck: one lives on with the supervised decoder, one with the tuned one, shipped
or not, so that what the gate says can be held against the truth.

Figures are by listener, over the second half of the days lived apart; intervals 95%, paired, bootstrap over listeners and seeds:
`satisfaction` (the world's own, which no log tells), `finished` (plays from Home to their end, a day), `distance` (mean distance
of pairs of tracks never heard that are listed, in the catalog's true space), `calibration` (minus the divergence of the genres of
what was listed from those of what was heard), `violations` (tracks listed that are blocked, not out or not licensed).

The rule, stated before the seeds above were run: the tuned decoder is better where the interval of `satisfaction` over all seeds
lies above 0, and costs variety or calibration where the lower end of theirs lies more than 5% of the supervised figure below 0.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

import numpy as np
import polars as pl
from scipy import sparse

from models.generative.beam import NONE, Search
from models.generative.decoder import Decoder
from models.generative.preference import pairs_of, scores_of, tune
from models.generative.preference_gate import GUARDS, SUCCESS, Verdict, distance, divergence, held_out, judged
from models.generative.trie import Trie
from models.sequence_data import gap_buckets
from models.settings import DecoderSettings, PreferenceSettings, SemanticIdSettings
from pipelines.live import Plan
from pipelines.recommender.evidence import Evidence
from pipelines.recommender.histories import hashed
from pipelines.recommender.parts.als import AlsPart
from pipelines.recommender.parts.generative import GenerativePart
from pipelines.recommender.parts.sequence import listens_in_order
from pipelines.recommender.preference import lists_of
from pipelines.recommender.settings import ModelSettings
from tests.benchmarks.home_live import plays_of
from transforms.metrics.intervals import interval
from transforms.outcomes.join import join_outcomes
from transforms.outcomes.preferences import shown
from transforms.outcomes.rewards import RewardSettings
from transforms.simulation.catalog_table import tracks_frame
from transforms.simulation.draws import child, uniform
from transforms.simulation.live import LiveWorld
from transforms.simulation.live_settings import LiveSettings
from transforms.simulation.live_state import State
from transforms.tables.schema import TABLES

SHELVES = ("discover", "again")
SIZE, DRAWN, POOL = 12, 3, 40  # items of a shelf; of them drawn; from how many best
REST = 3  # days that a shown track rests
FIGURES = ("satisfaction", "finished", "distance", "calibration", "violations")
HISTORY = 28  # days before the first lived one


@dataclass
class Listening:
    """What a service knows of a world: plays so far, and of each listener what was shown lately."""

    world: LiveWorld
    plays: pl.DataFrame
    rests: np.ndarray  # int64 [listeners, tracks], the number of the day until which a track is not shown again

    @classmethod
    def of(cls, world: LiveWorld) -> Listening:
        """History alone."""
        n = len(world.who.tastes.listener_id)
        return cls(world, plays_of(world.history().listens), np.zeros((n, world.who.tracks), np.int64))

    def copy(self) -> Listening:
        """The same, to be lived on by itself."""
        return Listening(self.world, self.plays, self.rests.copy())

    def evidence(self, outcomes: Sequence[pl.DataFrame] = ()) -> Evidence:
        """What a fit reads of it."""
        heard = self.plays.filter(pl.col("completed").fill_null(True))
        pairs = (
            heard.group_by("listener_id", "track_id").agg(value=pl.len().cast(pl.Int32)).sort("listener_id", "track_id")
        )
        # a session begins half an hour after the last play
        plays = self.plays.sort("listener_id", "started_at").with_columns(
            session=(pl.col("started_at").diff().dt.total_minutes().over("listener_id") > 30).fill_null(True).cum_sum()
        )
        told = [shown(rows, RewardSettings(), 1) for rows in outcomes]
        nothing = pl.DataFrame()
        return Evidence(
            hashed(pairs),
            hashed(plays.select("listener_id", pl.col("session").cast(pl.Int64), "track_id", "started_at")),
            tracks_of(self.world),
            *(nothing, nothing, nothing),
            shown=hashed(pl.concat(told)) if told else None,
        )


def tracks_of(world: LiveWorld) -> pl.DataFrame:
    """Table `tracks` as far as semantic ids read it."""
    made = tracks_frame(world.who.settings, world.who.catalog)
    return made.select("track_id", *(c for c in ("artist_ids", "album_id", "tags") if c in made.columns))


def fitted(evidence: Evidence, epochs: int, seed: int) -> tuple[Decoder, np.ndarray]:
    """The supervised decoder, and the tracks' co-listening vectors."""
    settings = ModelSettings(
        use_generative=True,
        als={"factors": 32},
        semantic_ids=SemanticIdSettings(dims=32, levels=2),
        decoder=DecoderSettings(dims=32, epochs=epochs),
    )
    als = AlsPart(settings).fit(evidence, {}, seed)
    made = GenerativePart(settings).fit(evidence, {"als": als}, seed)
    assert made is not None
    return made.model, np.asarray(als.item_factors)


class Lists:
    """What a decoder puts onto the shelves, day by day."""

    def __init__(self, decoder: Decoder, evidence: Evidence, world: LiveWorld) -> None:
        self.decoder, self.world = decoder, world
        ids = pl.Series(world.who.catalog.track_id, dtype=pl.String)
        self.row_of = evidence.vocabulary.rows(ids)  # of each of the world's tracks
        self.track_of = np.full(len(evidence.vocabulary), -1)
        self.track_of[self.row_of] = np.arange(len(ids))
        self.people = {name: n for n, name in enumerate(world.who.tastes.listener_id.tolist())}
        self.tracks = {name: n for n, name in enumerate(ids.to_list())}
        self.search = Search(decoder, Trie.build(decoder.ids.codes, self.track_of >= 0))

    def states(self, plays: pl.DataFrame) -> np.ndarray:
        """float32 [listeners, d]: after everybody's last listens."""
        length = self.decoder.settings.length
        items, gaps = (np.zeros((len(self.people), length), np.int32) for _ in range(2))
        last = plays.sort("listener_id", "started_at").group_by("listener_id").tail(length + 1)
        for (name,), own in last.group_by("listener_id", maintain_order=True):
            rows = self.row_of[[self.tracks[t] for t in own["track_id"]]]
            seconds = own["started_at"].dt.epoch("s").to_numpy().astype(np.float64)
            between = gap_buckets(np.diff(seconds, prepend=seconds[:1]))
            between[0] = 0
            n = min(len(rows), length)
            items[self.people[str(name)], length - n :], gaps[self.people[str(name)], length - n :] = (
                rows[-n:],
                between[-n:],
            )
        return self.decoder.embed(items, gaps)

    def best(self, listening: Listening, state: State, day: date) -> np.ndarray:
        """int64 [listeners, shelves, SIZE], the world's tracks, -1 after the last."""
        who, number = self.world.who, self.world.who.settings.number(day)
        n, m = len(self.people), who.tracks
        heard = np.zeros((n, m), bool)
        pairs = listening.plays.select("listener_id", "track_id").unique()
        heard[[self.people[a] for a in pairs["listener_id"]], [self.tracks[t] for t in pairs["track_id"]]] = True
        row, track = np.repeat(np.arange(n), m), np.tile(np.arange(m), n)
        able = playable(self.world, row, track, number).reshape(n, m) & ~(
            state.blocked.of(np.arange(n * m)) > 0
        ).reshape(n, m)
        free = able & (listening.rests < number)
        states = self.states(listening.plays)
        out = np.full((n, len(SHELVES), SIZE), -1)
        for k, pool in enumerate((free & ~heard, free & heard)):
            where, which = np.nonzero(~pool)
            closed = sparse.csr_matrix(
                (np.ones(len(where), np.float32), (where, self.row_of[which])), (n, len(self.track_of))
            )
            rows, _ = self.search(states, closed, POOL)
            for u in range(n):
                found = self.track_of[rows[u][rows[u] != NONE]]
                key = child(child(who.tastes.key[[u]], 9_000_000 + number * 2 + k), np.arange(len(found)))
                fixed, rest = found[: SIZE - DRAWN], np.arange(SIZE - DRAWN, len(found))
                drawn = (
                    found[rest[np.argsort(uniform(key[rest], "slots"), kind="stable")[:DRAWN]]] if len(rest) else rest
                )
                own = np.concatenate([fixed, drawn])
                out[u, k, : len(own)] = own
        return out


def playable(world: LiveWorld, row: np.ndarray, track: np.ndarray, number: int) -> np.ndarray:
    """bool: out, licensed and fit for the listener."""
    who = world.who
    days = np.full(len(row), who.settings.first_day + number)
    return np.asarray(who.catalog.playable(track, days, who.tastes.market[row], who.tastes.explicit_ok[row]))


def shelves_frame(world: LiveWorld, chosen: np.ndarray, day: date) -> pl.DataFrame:
    """Rows of table `shelves` of the night before a day."""
    begins = datetime.combine(day, time(), UTC)
    rows = []
    for u, name in enumerate(world.who.tastes.listener_id.tolist()):
        for k, shelf_id in enumerate(SHELVES):
            tracks = chosen[u, k][chosen[u, k] >= 0].tolist()
            items = [{"position": n + 1, "track_id": world.who.catalog.track_id[t]} for n, t in enumerate(tracks)]
            own = {"listener_id": name, "surface": "home", "shelf_id": shelf_id, "version": day.isoformat()}
            when = {"run_date": day - timedelta(1), "refresh_date": day - timedelta(1), "valid_from": begins}
            rows.append({**own, **when, "valid_until": begins + timedelta(1), "home_position": k + 1, "items": items})
    return pl.DataFrame(rows, schema=TABLES["shelves"].polars)


def outcomes_of(
    shelves: pl.DataFrame, heard: pl.DataFrame, logged: Listening, impressions: pl.DataFrame, night: date
) -> pl.DataFrame:
    """Table `outcomes` of what stood on these shelves, one day on."""
    items = shelves.select(
        "listener_id", pl.col("items").list.eval(pl.element().struct.field("track_id")).alias("track_id")
    )
    stood = items.explode("track_id", keep_nulls=False).unique().join(heard, on=["listener_id", "track_id"], how="left")
    candidates = stood.select(
        "listener_id",
        "track_id",
        pl.col("heard_before").fill_null(False),
        stage=pl.lit("placed"),
        inclusion=pl.lit(1.0),
        ranker_rank=pl.lit(1),
    )
    recordings = logged.plays.select("track_id", recording_id="track_id").unique()
    return join_outcomes(night, 1, candidates, logged.plays, recordings, shelves=shelves, impressions=impressions)


def lived(
    listening: Listening, state: State, lists: Lists, days: Sequence[date]
) -> tuple[State, list[pl.DataFrame], dict[str, np.ndarray]]:
    """Some days with a decoder's shelves: the state after them, the outcomes, and figures float64 [days, listeners]."""
    world, who = listening.world, listening.world.who
    genre = who.catalog.artist_genre[who.catalog.artist_of]
    vector = who.catalog.track_vector / np.linalg.norm(who.catalog.track_vector, axis=1, keepdims=True)
    became = []
    out: dict[str, list[np.ndarray]] = {name: [] for name in FIGURES}
    for day in days:
        chosen = lists.best(listening, state, day)
        number = world.who.settings.number(day)
        heard = listening.plays.select("listener_id", "track_id", heard_before=pl.lit(True)).unique()
        past = genres_heard(listening.plays, lists, genre)
        shelves = shelves_frame(world, chosen, day)
        who_shown = np.nonzero(chosen >= 0)[0]
        track = chosen[chosen >= 0]
        listening.rests[who_shown, track] = number + REST
        bad = ~playable(world, who_shown, track, number) | (state.blocked.of(who_shown * who.tracks + track) > 0)
        out["violations"].append(np.bincount(who_shown, bad, len(chosen)))
        state, logged, truth = world.day(state, day, shelves)
        listening.plays = pl.concat([listening.plays, plays_of(logged.listens)])
        became.append(outcomes_of(shelves, heard, listening, logged.impressions, day - timedelta(1)))
        done = dict(truth.items.filter("completed").group_by("listener_id").len().iter_rows())
        out["finished"].append(np.array([done.get(name, 0) for name in who.tastes.listener_id.tolist()], float))
        out["satisfaction"].append(state.satisfaction.copy())
        own = [one[one >= 0] for one in chosen[:, 0]]
        out["distance"].append(np.array([distance(vector[one]) for one in own]))
        size = int(genre.max()) + 1
        out["calibration"].append(
            np.array([-divergence(past[u], genre[chosen[u][chosen[u] >= 0]], size) for u in range(len(chosen))])
        )
    return state, became, {name: np.array(values) for name, values in out.items()}


def genres_heard(plays: pl.DataFrame, lists: Lists, genre: np.ndarray) -> list[np.ndarray]:
    """The genre of each play so far, by listener."""
    own: list[np.ndarray] = [np.zeros(0, np.int64)] * len(lists.people)
    for name, tracks in plays.group_by("listener_id").agg("track_id").iter_rows():
        own[lists.people[name]] = genre[[lists.tracks[t] for t in tracks]]
    return own


def run(
    listeners: int, tracks: int, seed: int, first: int, second: int, epochs: int, settings: PreferenceSettings
) -> tuple[dict[str, dict[str, np.ndarray]], Verdict, int]:
    """Figures of both decoders, what the gate says, and how many pairs were learned from."""
    days = first + second
    world = Plan(listeners, tracks, days, HISTORY, seed=seed).world(LiveSettings())
    listening, state = Listening.of(world), world.morning()
    lived_days = [world.first_live + timedelta(n) for n in range(days)]
    evidence = listening.evidence()
    decoder, _ = fitted(evidence, epochs, seed)
    state, became, _ = lived(listening, state, Lists(decoder, evidence, world), lived_days[:first])
    evidence = listening.evidence(became)
    decoder, vectors = fitted(evidence, epochs, seed)
    listens = listens_in_order(evidence)
    assert listens is not None
    lists = lists_of(evidence, listens, decoder.settings.length)
    assert lists is not None
    out = held_out(lists.owner, settings.held, seed)
    own = lists.only(~out)
    pairs = pairs_of(own, scores_of(decoder, own), settings, seed)
    tuned = tune(decoder, own, pairs, settings, seed)
    people = evidence.plays["listener"].unique().sort().to_numpy()
    verdict = judged(decoder, tuned, lists.only(out), listens, people, vectors, settings, seed)
    found = {}
    for name, one in (("supervised", decoder), ("tuned", tuned)):
        _, _, found[name] = lived(listening.copy(), state, Lists(one, evidence, world), lived_days[first:])
    return found, verdict, len(pairs)


def figures_of(found: Sequence[Mapping[str, np.ndarray]], what: str) -> np.ndarray:
    """The mean of the last half of the days of each listener of every seed."""
    late = [one[what][len(one[what]) // 2 :] for one in found]
    return np.concatenate(
        [np.nansum(x, axis=0) / np.where(np.isfinite(x).any(axis=0), np.isfinite(x).sum(axis=0), np.nan) for x in late]
    )


def of_truth(
    every: Sequence[Mapping[str, Mapping[str, np.ndarray]]], seeds: Sequence[int], what: str
) -> dict[str, object]:
    """A figure of both decoders over the seeds so far, and the paired difference."""
    one, two = (figures_of([found[name] for found in every], what) for name in ("supervised", "tuned"))
    people = [f"{seed}/{n}" for seed in seeds[: len(every)] for n in range(len(one) // len(every))]
    gap = interval(people, two - one)
    means = {"supervised": round(float(np.nanmean(one)), 4), "tuned": round(float(np.nanmean(two)), 4)}
    ahead = [round(x, 4) for x in (gap.value, gap.low, gap.high)]
    return {"seeds": len(every), "what": what, **means, "ahead": ahead}


def main() -> None:
    """Of each seed one JSON line of the gate, and one a figure of the truth over the seeds so far."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--listeners", type=int, default=200)
    parser.add_argument("--tracks", type=int, default=600)
    parser.add_argument("--first", type=int, default=14, help="days that preferences are learned from")
    parser.add_argument("--second", type=int, default=14, help="days that are lived apart")
    parser.add_argument("--seeds", type=int, nargs="+", default=[101, 102, 103])
    parser.add_argument("--epochs", type=int, default=6, help="of the supervised decoder")
    own = PreferenceSettings()
    parser.add_argument("--beta", type=float, default=own.beta)
    parser.add_argument("--rate", type=float, default=own.learning_rate)
    parser.add_argument("--passes", type=int, default=own.epochs)
    given = parser.parse_args()
    settings = own.model_copy(update={"beta": given.beta, "learning_rate": given.rate, "epochs": given.passes})
    every = []
    for seed in given.seeds:
        size = (given.listeners, given.tracks, seed, given.first, given.second, given.epochs)
        found, verdict, pairs = run(*size, settings)
        every.append(found)
        line = {"seed": seed, "pairs": pairs, "ships": verdict.ships, "failed": list(verdict.failed)}
        for name in (SUCCESS, *GUARDS):
            f = verdict.figures[name]
            gap = (f.difference.value, f.difference.low, f.difference.high)
            line[name] = [round(x, 4) for x in (f.reference, f.tuned, *gap)]
        print(json.dumps(line), flush=True)
        for what in FIGURES:
            print(json.dumps(of_truth(every, given.seeds, what)), flush=True)


if __name__ == "__main__":
    main()
