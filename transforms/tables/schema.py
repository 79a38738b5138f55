"""The schema of every table, declared once: column, Arrow type, unit and meaning.

`docs/tables.md` is generated from this file, writers cast to it, readers select from it, and the BigQuery schema comes
from it. A table changes by adding columns; a breaking change is a new `schema_version` beside the old.

    >>> TABLES["library"].key
    ('listener_id', 'track_id')
    >>> TABLES["library"].arrow.field("plays").type
    DataType(int32)
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property

import polars as pl
import pyarrow as pa

TIMESTAMP = pa.timestamp("us", tz="UTC")
STRINGS = pa.list_(pa.field("element", pa.string()))

PLAY = pa.struct(
    [
        pa.field("track_id", pa.string(), nullable=False),
        pa.field("started_at", TIMESTAMP, nullable=False),
        pa.field("ms_played", pa.int32()),
        pa.field("skipped", pa.bool_()),
        pa.field("completed", pa.bool_()),
    ]
)
SHELF_ITEM = pa.struct(
    [
        pa.field("position", pa.int32(), nullable=False),
        pa.field("track_id", pa.string(), nullable=False),
        pa.field("artist_ids", STRINGS),
        pa.field("score", pa.float32()),
        pa.field("source", pa.string()),
        pa.field("reason", pa.string()),
        pa.field("reason_ref", pa.string()),
        pa.field("propensity", pa.float32()),
        pa.field("explored", pa.bool_()),
        pa.field("last_heard_at", TIMESTAMP),
    ]
)
POOL_ITEM = pa.struct(
    [
        pa.field("track_id", pa.string(), nullable=False),
        pa.field("score", pa.float32()),
        pa.field("probability", pa.float32(), nullable=False),
    ]
)


def list_of(kind: pa.DataType) -> pa.DataType:
    """Arrow list with the Parquet-compliant element name, which BigQuery's list inference expects."""
    return pa.list_(pa.field("element", kind))


@dataclass(frozen=True)
class Column:
    """One column: `meaning` carries the unit where there is one."""

    name: str
    type: pa.DataType
    meaning: str
    nullable: bool = False


@dataclass(frozen=True)
class Table:
    """A table's contract.

    Attributes:
        name: folder and table name.
        row: what one row is, in words.
        key: columns that name a row; files are sorted by them.
        columns: all declared columns, in file order.
        sharded_by: `listener_id` for listener-side tables, a track column for track-side ones, None for small tables.
        open_columns: prefixes of further columns a run may add (type and meaning), named in its manifest's settings.
        schema_version: raised on a breaking change only.
    """

    name: str
    row: str
    key: tuple[str, ...]
    columns: tuple[Column, ...]
    sharded_by: str | None = "listener_id"
    open_columns: tuple[tuple[str, pa.DataType, str], ...] = ()
    schema_version: int = 1
    personal: bool = False

    @cached_property
    def arrow(self) -> pa.Schema:
        """The declared columns as an Arrow schema (open columns are not in it)."""
        return pa.schema([pa.field(c.name, c.type, nullable=c.nullable) for c in self.columns])

    @cached_property
    def polars(self) -> dict[str, pl.DataType]:
        """The declared columns as a Polars schema."""
        return dict(empty_frame(self.arrow).schema)

    def completed(self, frame: pl.DataFrame, columns: Collection[str] | None = None) -> pl.DataFrame:
        """The frame with the columns that its file lacks because it was written before they were declared, as nulls.

        Args:
            frame: rows of the table.
            columns: those that were asked for; None = all.
        """
        lacking = [
            pl.lit(None, dtype=self.polars[c.name]).alias(c.name)
            for c in self.columns
            if c.nullable and c.name not in frame.columns and (columns is None or c.name in columns)
        ]
        return frame.with_columns(lacking) if lacking else frame

    def arrow_for(self, names: list[str]) -> pa.Schema:
        """Arrow schema of a frame with these column names: declared columns first, then open columns by name.

        Raises:
            ValueError: a declared column is missing, or a column is neither declared nor open.
        """
        declared = set(self.arrow.names)
        missing = sorted(declared - set(names))
        if missing:
            raise ValueError(f"table {self.name}: columns {missing} are missing")
        extra = []
        for name in sorted(set(names) - declared):
            kind = next((t for prefix, t, _ in self.open_columns if name.startswith(prefix)), None)
            if kind is None:
                raise ValueError(f"table {self.name}: column {name!r} is not declared in transforms/tables/schema.py")
            extra.append(pa.field(name, kind))
        return pa.schema([*self.arrow, *extra])

    def conform(self, frame: pl.DataFrame) -> pa.Table:
        """Cast a frame to this table's declared schema, in declared column order.

        Missing nullable columns are filled with null, so that a step need not know columns it has nothing to say about.

        Raises:
            ValueError: an undeclared column, a missing required column, or nulls in a required one.
        """
        frame = frame.with_columns(
            pl.lit(None, dtype=self.polars[c.name]).alias(c.name)
            for c in self.columns
            if c.nullable and c.name not in frame.columns
        )
        schema = self.arrow_for(frame.columns)
        # text goes over as views of Polars' own bytes, to be copied once, by the cast; Arrow has no cast for encoded views
        encoded = any(kind in str(t) for t in frame.dtypes for kind in ("Categorical", "Enum"))
        level = pl.CompatLevel.oldest() if encoded else pl.CompatLevel.newest()
        arrow = frame.select(schema.names).to_arrow(compat_level=level)
        for f in schema:
            if not f.nullable and arrow.column(f.name).null_count:
                raise ValueError(f"table {self.name}: column {f.name!r} must not be null")
        return arrow.cast(schema)

    def empty(self) -> pl.DataFrame:
        """A frame of this table without rows."""
        return empty_frame(self.arrow)


def empty_frame(schema: pa.Schema) -> pl.DataFrame:
    """A Polars frame with the given Arrow schema and no rows."""
    return pl.DataFrame(pl.from_arrow(schema.empty_table()))


LISTENER = Column("listener_id", pa.string(), "listener, as it came from the source (or its keyed hash)")
TRACK = Column("track_id", pa.string(), "track, as it came from the source")
HOW_IT_WENT = (
    Column("ms_played", pa.int32(), "milliseconds played; null = unknown", True),
    Column("skipped", pa.bool_(), "the listener skipped it; null = unknown", True),
    Column("completed", pa.bool_(), "played to its end; null = unknown", True),
)


def _started(meaning: str) -> Column:
    return Column("started_at", TIMESTAMP, meaning)


_DECLARED = (
    Table(
        "listens",
        "play",
        ("listener_id", "started_at", "track_id"),
        (
            LISTENER,
            TRACK,
            _started("start of the play, UTC"),
            *HOW_IT_WENT,
            Column("context", pa.string(), "what it was played from (playlist, album, radio, ...)", True),
            Column("shelf_id", pa.string(), "the Nightshelf shelf it was played from", True),
            Column("device_id", pa.string(), "device", True),
            Column("shuffle", pa.bool_(), "shuffle was on", True),
            Column("platform", pa.string(), "client platform", True),
            Column("country", pa.string(), "ISO 3166 country of the play", True),
            Column("ingested_at", TIMESTAMP, "end of the batch's end date: the moment it stands for, not a clock's"),
            Column("late", pa.bool_(), "arrived after its own date had closed; filed under the oldest open date"),
            Column("listen_id", pa.string(), "hash of listener, track and start"),
        ),
        personal=True,
    ),
    Table(
        "rejects",
        "refused input line",
        ("file", "line", "reason"),
        (
            Column("batch", pa.string(), "ingest batch"),
            Column("file", pa.string(), "input file's name"),
            Column("line", pa.int64(), "line (or row) number in the file, from 1"),
            Column("reason", pa.string(), "reason code"),
            Column("raw", pa.string(), "the raw line, or sha256:... of it where it is personal", True),
        ),
        sharded_by=None,
    ),
    Table(
        "tracks",
        "track in the catalog",
        ("track_id",),
        (
            TRACK,
            Column("title", pa.string(), "title", True),
            Column("artist_ids", STRINGS, "every credited artist, main artist first", True),
            Column("recording_id", pa.string(), "tracks that are the same music share it"),
            Column("album_id", pa.string(), "album", True),
            Column("disc_no", pa.int32(), "disc on the album, from 1", True),
            Column("track_no", pa.int32(), "position on the disc, from 1", True),
            Column("released_on", pa.date32(), "first release", True),
            Column("duration_ms", pa.int32(), "length in milliseconds", True),
            Column("explicit", pa.bool_(), "explicit content", True),
            Column("tags", STRINGS, "genres and tags", True),
            Column("markets", STRINGS, "markets where it can be played; null = everywhere", True),
            Column("isrc", pa.string(), "ISRC", True),
            Column("mbid", pa.string(), "MusicBrainz recording id", True),
        ),
        sharded_by=None,
    ),
    Table(
        "listeners",
        "listener",
        ("listener_id",),
        (
            LISTENER,
            Column("market", pa.string(), "market", True),
            Column("time_zone", pa.string(), "IANA time zone", True),
            Column("explicit_ok", pa.bool_(), "explicit tracks may be shown; null = yes", True),
            Column("joined_on", pa.date32(), "first day", True),
        ),
        personal=True,
    ),
    Table(
        "feedback",
        "explicit act",
        ("listener_id", "at", "kind", "target"),
        (
            LISTENER,
            Column(
                "kind",
                pa.string(),
                "save, like, dislike, block_track, block_artist, follow_artist, own, exclude_from_taste",
            ),
            Column(
                "target",
                pa.string(),
                "track or artist; for exclude_from_taste a device id, a session id or a time range (start/end, ISO 8601)",
            ),
            Column("at", TIMESTAMP, "when, UTC"),
        ),
        personal=True,
    ),
    Table(
        "exclusions",
        "play taken out of a listener's taste",
        ("listener_id", "started_at", "track_id"),
        (
            LISTENER,
            TRACK,
            _started("start of the play, UTC"),
            *HOW_IT_WENT,
        ),
        personal=True,
    ),
    Table(
        "impressions",
        "shelf item shown",
        ("listener_id", "shown_at", "surface", "shelf_id", "position"),
        (
            LISTENER,
            Column("surface", pa.string(), "surface"),
            Column("shelf_id", pa.string(), "shelf"),
            Column("version", pa.string(), "version of the shelves row shown", True),
            TRACK,
            Column("position", pa.int32(), "position shown, from 1"),
            Column("item_or_spare", pa.string(), "item or spare"),
            Column("shown_at", TIMESTAMP, "when, UTC"),
        ),
        personal=True,
    ),
    Table(
        "blends",
        "group asked for",
        ("blend_id",),
        (
            Column("blend_id", pa.string(), "the group"),
            Column("listener_ids", STRINGS, "its members"),
        ),
        sharded_by=None,
        personal=True,
    ),
    Table(
        "sessions",
        "session",
        ("listener_id", "started_at", "session_id"),
        (
            LISTENER,
            Column("session_id", pa.string(), "hash of listener and first start"),
            _started("start of its first play"),
            Column("ended_at", TIMESTAMP, "end of its last play"),
            Column("open", pa.bool_(), "may still go on at the date's end; rewritten whole in the next date"),
            Column("tracks", list_of(PLAY), "its plays in order"),
            Column("plays", pa.int32(), "number of plays"),
            Column("skips", pa.int32(), "number of skipped plays"),
            Column("new_share", pa.float32(), "share of plays whose track the listener had never played before"),
            Column("daypart", pa.string(), "night, morning, afternoon or evening of its start, listener's time zone"),
        ),
        personal=True,
    ),
    Table(
        "library",
        "listener x track",
        ("listener_id", "track_id"),
        (
            LISTENER,
            TRACK,
            Column("plays", pa.int32(), "plays"),
            Column("heard", pa.int32(), "plays that count as heard (completed, 30 s, or length unknown)"),
            Column("completions", pa.int32(), "plays known to be completed"),
            Column("skips", pa.int32(), "plays known to be skipped"),
            Column("first_played_at", TIMESTAMP, "start of the first play; null = saved, never played", True),
            Column("last_played_at", TIMESTAMP, "start of the last play; null = saved, never played", True),
            Column("latest", list_of(TIMESTAMP), "starts of the 8 latest plays, newest first"),
            Column("saved", pa.bool_(), "saved or liked"),
        ),
        personal=True,
    ),
    Table(
        "track_stats",
        "track x market, one day's partial",
        ("track_id", "market"),
        (
            TRACK,
            Column("market", pa.string(), "listener's market, else the play's country, else empty"),
            Column("plays", pa.int64(), "plays, at most 10 a listener"),
            Column("listeners", pa.int64(), "listeners that day"),
            Column("heard", pa.int64(), "heard plays, capped alike"),
            Column("completions", pa.int64(), "completed plays, capped alike"),
            Column("skips", pa.int64(), "skipped plays, capped alike"),
        ),
        sharded_by="track_id",
    ),
    Table(
        "co_listens",
        "track pair, one day's partial (track_a <= track_b)",
        ("track_a", "track_b"),
        (
            Column("track_a", pa.string(), "the smaller track id; equal to track_b on the diagonal"),
            Column("track_b", pa.string(), "the larger track id"),
            Column("together", pa.int64(), "sum over sessions of length^-1.5, in 2^-20, capped a listener"),
            Column("next_ab", pa.int64(), "a shortly before b: sum of distance decays, in 2^-20, capped a listener"),
            Column("next_ba", pa.int64(), "b shortly before a, likewise"),
            Column("sessions", pa.int64(), "sessions that hold both"),
        ),
        sharded_by="track_a",
    ),
    Table(
        "track_embeddings",
        "model x track",
        ("model", "track_id"),
        (
            Column("model", pa.string(), "model name"),
            Column("model_version", pa.string(), "version of the model"),
            TRACK,
            Column("vector", list_of(pa.float32()), "embedding"),
        ),
        sharded_by="track_id",
    ),
    Table(
        "listener_embeddings",
        "model x listener",
        ("listener_id", "model"),
        (
            LISTENER,
            Column("model", pa.string(), "model name"),
            Column("model_version", pa.string(), "version of the model"),
            Column("vector", list_of(pa.float32()), "embedding, a function of the listener's history"),
        ),
        personal=True,
    ),
    Table(
        "candidates",
        "listener x track considered",
        ("listener_id", "track_id"),
        (
            LISTENER,
            TRACK,
            Column("heard_before", pa.bool_(), "the recording was heard by the end of the night's date"),
            Column("stage", pa.string(), "candidate, placed or spare"),
            Column("inclusion", pa.float32(), "probability that this row was kept"),
            Column("ranker_score", pa.float32(), "the chosen ranker's score; null in a night without a ranker", True),
            Column("ranker_rank", pa.int32(), "rank by it among the listener's candidates of equal heard_before", True),
            Column("p_listened", pa.float32(), "calibrated probability of a listen within 7 days", True),
            Column("p_completed", pa.float32(), "of a completed play", True),
            Column("p_saved", pa.float32(), "of a save", True),
            Column("p_returned", pa.float32(), "of plays on two or more days", True),
            Column("p_attributed", pa.float32(), "of a play from the shelf, were it shown; null = never learned", True),
        ),
        open_columns=(
            ("rank_", pa.int32(), "rank within a source, from 1; null = not retrieved by it"),
            ("score_", pa.float32(), "a source's own score, for every candidate"),
            ("f_", pa.float32(), "a ranker feature"),
        ),
        personal=True,
    ),
    Table(
        "shelves",
        "listener x shelf",
        ("listener_id", "shelf_id"),
        (
            Column("run_date", pa.date32(), "the night"),
            Column("version", pa.string(), "version of the table this row was made in"),
            LISTENER,
            Column("surface", pa.string(), "home, now-playing, ..."),
            Column("shelf_id", pa.string(), "the same every week"),
            Column("title", pa.string(), "title to show"),
            Column("home_position", pa.int32(), "position on its surface, from 1", True),
            Column("home_score", pa.float32(), "what ordered it there", True),
            Column("home_propensity", pa.float32(), "probability of that position where it was randomised", True),
            Column("status", pa.string(), "personal, fallback or empty"),
            Column("status_reason", pa.string(), "why it is not personal", True),
            Column("data_cutoff", TIMESTAMP, "nothing later was known"),
            Column("refresh_date", pa.date32(), "the date its items were chosen"),
            Column("valid_from", TIMESTAMP, "show from"),
            Column("valid_until", TIMESTAMP, "show until"),
            Column("experiment", pa.string(), "experiment", True),
            Column("arm", pa.string(), "its arm", True),
            Column("model_version", pa.string(), "version of the ranker, or the untrained blend"),
            Column("items", list_of(SHELF_ITEM), "the row's tracks in order"),
            Column("spares", list_of(SHELF_ITEM), "what comes next when an item cannot be played"),
        ),
        personal=True,
    ),
    Table(
        "draws",
        "open slot filled",
        ("listener_id", "shelf_id", "slot"),
        (
            LISTENER,
            Column("shelf_id", pa.string(), "shelf"),
            Column("slot", pa.int32(), "slot, from 1"),
            Column("track_id", pa.string(), "the track drawn"),
            Column("propensity", pa.float32(), "its probability given everything placed before"),
            Column("pool", list_of(POOL_ITEM), "what could have been drawn"),
            Column("policy", pa.string(), "policy and its parameters"),
            Column("seed", pa.int64(), "seed"),
        ),
        personal=True,
    ),
    Table(
        "outcomes",
        "night x listener x track x horizon",
        ("listener_id", "night", "horizon", "track_id", "stage"),
        (
            Column("night", pa.date32(), "the night whose rows are joined"),
            LISTENER,
            TRACK,
            Column("horizon", pa.int32(), "days after the night"),
            Column("stage", pa.string(), "candidate, placed, shown or missed"),
            Column("origin", pa.string(), "organic, or attributed: the listen names our shelf", True),
            Column("shelf_id", pa.string(), "shelf it stood on", True),
            Column("rank", pa.int32(), "ranker's rank, or position where placed", True),
            Column("propensity", pa.float32(), "probability of the draw, where drawn", True),
            Column("inclusion", pa.float32(), "probability that the candidate row was kept"),
            Column("listened", pa.bool_(), "heard within the horizon, any version of the recording"),
            Column("completed", pa.bool_(), "completed; null where the log cannot know", True),
            Column("skipped", pa.bool_(), "skipped and never completed; null where the log cannot know", True),
            Column("saved", pa.bool_(), "saved; null where the log has no feedback", True),
            Column("returned", pa.bool_(), "heard on two or more days; null for a horizon of one day", True),
            Column("heard_before", pa.bool_(), "heard by the end of the night"),
        ),
        personal=True,
    ),
    Table(
        "evaluation",
        "metric",
        ("model", "target", "segment", "metric", "versus"),
        (
            Column("model", pa.string(), "shelf, ranker, source or baseline; policy:<name> of open slots; arm:<arm>"),
            Column("target", pa.string(), "unheard, repeat or all; shown (open slots with an impression); experiment"),
            Column(
                "segment", pa.string(), "which listeners; all = everyone; of policies a shelf, of arms the experiment"
            ),
            Column("metric", pa.string(), "metric, with its cut-off"),
            Column("value", pa.float64(), "mean over listeners"),
            Column("low", pa.float64(), "lower end of the 95% bootstrap interval by listener", True),
            Column("high", pa.float64(), "upper end", True),
            Column("n", pa.int64(), "listeners (or rows, for a metric of the whole; or slots, for policies)"),
            Column("versus", pa.string(), "the model it is compared with, for a paired difference", True),
        ),
        sharded_by=None,
    ),
)

TABLES: dict[str, Table] = {table.name: table for table in _DECLARED}
