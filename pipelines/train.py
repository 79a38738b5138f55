"""The job `train`: everything a night learns from other listeners, as of a date.

library, sessions -> examples (hashed sample) -> one fit -> models/date=D, track_embeddings/date=D
sessions          -> a bounded sample of them, by listener            -> session_sample/date=D
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import apache_beam as beam
import numpy as np
import polars as pl

from models.registry import write_entry
from pipelines.exclusions import exclusions_as_of
from pipelines.features import library_parts
from pipelines.recommender.artefacts import store_folder
from pipelines.recommender.fitting import Evidence, Fitted, ModelSettings, fit
from pipelines.runtime import checkpoints
from pipelines.runtime.catalog import all_tracks, known_by, newest_or_first
from pipelines.runtime.jobs import launch
from pipelines.runtime.roster import roster_size
from transforms.candidates.popular import recency
from transforms.common.clock import count
from transforms.common.hashing import stable_hash, uniform
from transforms.listening import co_listens, track_stats
from transforms.listening.exclusions import taste, without_plays
from transforms.listening.library import merge
from transforms.listening.sessions import last_known
from transforms.listening.track_stats import TrackStatsSettings
from transforms.next_in_session.sample import in_time, newest, sampled
from transforms.tables.beam import ChunkCoder, Commit, ReadChunks, WriteChunks
from transforms.tables.chunks import Chunk, specs, split
from transforms.tables.manifest import Manifest
from transforms.tables.records import used
from transforms.tables.runs import Run, Written, plan, write_frame
from transforms.tables.schema import TABLES
from transforms.tables.upkeep import inputs_of
from transforms.tables.warehouse import Warehouse, days

if TYPE_CHECKING:
    from pipelines.runtime.config import Settings

STEP = "10"
SAMPLE = "sample"
STREAMS: dict[
    bytes, dict[str, type[pl.DataType]]
] = {  # what `_Examples` sends, for when there is nobody to send anything
    b"L": {"track_id": pl.String, "value": pl.Int32, "recency": pl.Float32, "listener": pl.UInt64},
    b"M": {"market": pl.String, "listener": pl.UInt64},
    b"P": {"listener": pl.UInt64, "session": pl.Int64, "track_id": pl.String, "started_at": pl.Datetime("us", "UTC")},  # type: ignore[dict-item]
}
COLUMNS = {
    "library": tuple(TABLES["library"].polars),
    "sessions": ("listener_id", "started_at", "session_id", "open", "plays", "tracks"),
    "listeners": ("listener_id", "market"),
}


def train(warehouse: str, day: date, *, settings: Settings, beam_args: Sequence[str] = ()) -> None:
    """Fit the models as of the end of `day`.

    Raises:
        UserError: `day` has no library.
    """
    place = Warehouse(warehouse)
    window = days(day - timedelta(settings.co_listens.window_days - 1), day)
    library = library_parts(place, day)
    read = {t: [m for d in window if (m := place.current(t, d))] for t in ("sessions", "co_listens", "track_stats")}
    catalog, listeners = (newest_or_first(place, table, day) for table in ("tracks", "listeners"))
    out = exclusions_as_of(place, day)
    files = (m for found in read.values() for m in found)
    inputs = inputs_of(place.need("library", day), catalog, listeners, *out, *files)
    described = settings.model_dump(mode="json", include={"models", "co_listens", "track_stats"})
    runs = {
        table: plan(
            place,
            table,
            day,
            shards=settings.shards,
            inputs=inputs,
            settings=described,
            step_version=STEP,
            seed=settings.seed,
        )
        for table in ("session_sample", "track_embeddings", "models")  # in commit order: the night enters at the models
    }
    wanted = [run for run in runs.values() if run is not None]
    models = runs["models"]
    if models is None:
        checkpoints.drop(warehouse, place.need("models", day).version)  # had it died between commit and tidying up
        return
    most = settings.models.sample_listeners
    share = min(1.0, most / max(roster_size(place, library, None, day, enough=most), 1))
    people = [listeners] if listeners else []
    tables = {"library": library, "sessions": read["sessions"], "exclusions": out, "listeners": people}
    work = specs(place, settings.shards, tables)
    sampling = _Sampling.of([(m.date, m.rows) for m in read["sessions"]], day, settings)
    job = _Fit(
        warehouse, day, settings.models, settings.seed, catalog, read["co_listens"], read["track_stats"], settings
    )

    def define(root: beam.Pipeline) -> None:
        examples = (
            root
            | "Histories" >> ReadChunks(work, COLUMNS)
            | "Examples"
            >> beam.ParDo(_Examples(share, settings.seed, sampling, day, settings.track_stats))
            .with_output_types(bytes)
            .with_outputs(SAMPLE, main="examples")
        )
        sample = examples[SAMPLE] | "Sampled" >> beam.Map(ChunkCoder().decode).with_output_types(Chunk)
        kept = sample | "Sample" >> WriteChunks([r for r in wanted if r.table == "session_sample"])
        fitted = (
            root
            | "One fit" >> beam.Create([wanted], reshuffle=False)
            | "Fit"
            >> beam.ParDo(job, beam.pvalue.AsList(examples.examples))
            .with_output_types(Written)
            .with_resource_hints(min_ram="8GB")
        )
        written = (fitted, kept) | "Files" >> beam.Flatten()
        done = root | "Done" >> Commit(wanted, written)
        _ = done | "Tidy" >> beam.ParDo(_Tidy(warehouse, models)).with_output_types(str)

    launch("train", place, define, beam_args, wanted)


@dataclass(frozen=True)
class _Sampling:
    """Which sessions are sampled: those from a date on, a share of them by hash."""

    first: date
    share: float

    @classmethod
    def of(cls, counts: Sequence[tuple[date, int]], day: date, settings: Settings) -> _Sampling:
        """Of the dates' numbers of sessions; none where nothing is learned of sessions."""
        if not settings.models.use_next_in_session or not counts:
            return cls(day, 0.0)
        return cls(*newest(counts, settings.models.next_in_session.sessions))


class _Examples(beam.DoFn):
    """A chunk's histories as Arrow streams behind a one-byte tag, without a listener's id; and its sampled sessions."""

    def __init__(self, share: float, seed: int, sampling: _Sampling, day: date, popular: TrackStatsSettings) -> None:
        self._share, self._seed, self._sampling = share, seed, sampling
        self._recency = (day, popular.recent_half_life_days, popular.window_days)

    def process(self, chunk: Chunk) -> Iterator[Any]:
        library = taste(merge([chunk["library"]]), chunk["exclusions"])
        kept = library.select("listener_id").unique()
        kept = kept.filter(pl.Series(uniform(self._seed, "examples", kept["listener_id"]) < self._share))
        pairs = library.join(kept, on="listener_id", how="semi").with_columns(
            value=pl.col("heard") + pl.col("saved").cast(pl.Int32), recency=recency(*self._recency)
        )
        pairs = pairs.filter(pl.col("value") > 0).select("listener_id", "track_id", "value", "recency")
        yield b"L" + _stream(hashed(pairs))
        people = chunk["listeners"].drop_nulls("market").join(kept, on="listener_id", how="semi")
        yield b"M" + _stream(hashed(people.select("listener_id", "market")))
        yield b"P" + _stream(
            session_plays(
                without_plays(chunk["sessions"].join(kept, on="listener_id", how="semi"), chunk["exclusions"])
            )
        )
        if self._sampling.share:
            sessions = last_known(without_plays(chunk["sessions"], chunk["exclusions"]))
            sample = sampled(sessions, self._sampling.first, self._sampling.share, self._seed)
            yield b"S" + _stream(in_time(sample).drop("listener_id"))
            mine = Chunk(chunk.shard, {"session_sample": sample})
            yield beam.pvalue.TaggedOutput(SAMPLE, ChunkCoder().encode(mine))  # a side output has no coder of its own


def hashed(frame: pl.DataFrame) -> pl.DataFrame:
    """The same rows with `listener`, a hash, for `listener_id`, sorted by it: order without meaning, and no person."""
    return (
        frame.with_columns(listener=pl.Series(stable_hash(frame["listener_id"], purpose="examples"), dtype=pl.UInt64))
        .drop("listener_id")
        .sort("listener", maintain_order=True)
    )


def session_plays(sessions: pl.DataFrame) -> pl.DataFrame:
    """`listener`, `session` (start in microseconds), `track_id`, `started_at`, in order of play."""
    plays = (
        last_known(sessions)
        .select("listener_id", session=pl.col("started_at").dt.epoch("us"), play="tracks")
        .explode("play")
        .drop_nulls("play")
    )
    fields = pl.col("play").struct.field("track_id", "started_at")
    return hashed(plays.select("listener_id", "session", fields)).select(
        "listener", "session", "track_id", "started_at"
    )


def _stream(frame: pl.DataFrame) -> bytes:
    out = frame.write_ipc_stream(None, compression="zstd")
    return out.getvalue()


def gather(parts: Sequence[bytes], tag: bytes) -> pl.DataFrame:
    """The streams of one tag as one frame, by listener hash: the same whatever order the chunks came in."""
    return pl.concat([pl.DataFrame(schema=STREAMS[tag]), *_tagged(parts, tag)]).sort("listener", maintain_order=True)


def _tagged(parts: Sequence[bytes], tag: bytes) -> list[pl.DataFrame]:
    return [pl.read_ipc_stream(p[1:]) for p in parts if p[:1] == tag]


class _Fit(beam.DoFn):
    def __init__(
        self,
        warehouse: str,
        day: date,
        models: ModelSettings,
        seed: int,
        catalog: Manifest | None,
        pairs: Sequence[Manifest],
        stats: Sequence[Manifest],
        settings: Settings,
    ) -> None:
        self._warehouse, self._day, self._models, self._seed = warehouse, day, models, seed
        self._catalog, self._pairs, self._stats = catalog, list(pairs), list(stats)
        self._co, self._popular = settings.co_listens, settings.track_stats

    def process(self, runs: Sequence[Run], examples: Sequence[bytes]) -> Iterator[Written]:
        place, by_table = Warehouse(self._warehouse), {run.table: run for run in runs}
        tracks = all_tracks(place, self._catalog)
        library, plays = gather(examples, b"L"), gather(examples, b"P")
        samples = _tagged(examples, b"S")
        seen = pl.concat([library["track_id"], plays["track_id"]]).unique()
        dated = known_by(tracks, self._day, seen)
        stats = [(m.date, place.read_manifest(m)) for m in self._stats]
        popular = self._popular
        evidence = Evidence(
            library,
            plays,
            dated,
            co_listens.sum_window(
                [(m.date, partial(place.read_manifest, m)) for m in self._pairs],
                self._day,
                self._co.half_life_days,
                self._co.window_days,
            ),
            track_stats.sum_window(stats, self._day, popular.half_life_days, popular.window_days),
            track_stats.sum_window(stats, self._day, popular.recent_half_life_days, popular.window_days),
            pl.concat(samples) if samples else None,
            gather(examples, b"M"),
        )
        model = by_table["models"]
        with checkpoints.kept(self._warehouse, model.version) as kept:
            fitted = fit(evidence, self._models, self._seed, kept)
        count(fitted.took)
        with tempfile.TemporaryDirectory() as scratch:
            fitted.save(Path(scratch))
            write_entry(
                scratch,
                name="retrieval",
                version=model.version,
                fit_date=self._day,
                inputs=model.inputs,
                settings=self._models.model_dump(mode="json"),
                seed=self._seed,
                metrics=fitted.metrics(),
            )
            for entry in store_folder(model, Path(scratch)):
                yield Written(model.table, model.day.isoformat(), entry)
        if "track_embeddings" in by_table:
            run = by_table["track_embeddings"]
            for shard, frame in split(embeddings(fitted, model.version), run.shards, by="track_id"):
                written = write_frame(run, shard, frame)
                yield Written(run.table, run.day.isoformat(), written)
        yield used()


class _Tidy(beam.DoFn):
    """Run ids as they are committed; after the models' own, the checkpoints behind it go."""

    def __init__(self, warehouse: str, models: Run) -> None:
        self._warehouse, self._models = warehouse, models

    def process(self, run_id: str) -> Iterator[str]:
        if run_id == self._models.run_id:
            checkpoints.drop(self._warehouse, self._models.version)
        yield run_id


def embeddings(fitted: Fitted, version: str) -> pl.DataFrame:
    """Table `track_embeddings` of the models that have vectors."""
    ids = fitted.vocabulary.ids
    frames = []
    for name, model in (("als", fitted.als), ("two_tower", fitted.two_tower)):
        if model is None:
            continue
        vectors = np.asarray(model.item_factors if name == "als" else model.items, np.float32)
        known = np.flatnonzero(np.any(vectors != 0, axis=1))
        known = known[known > 0]
        frames.append(
            pl.DataFrame(
                {
                    "model": pl.repeat(name, len(known), eager=True),
                    "model_version": pl.repeat(version, len(known), eager=True),
                    "track_id": ids.gather(known),
                    "vector": pl.Series(vectors[known]).arr.to_list(),
                }
            )
        )
    return pl.concat(frames)
