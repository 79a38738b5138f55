"""Real logs split inside the file, and the night on each split through the product's own entry points.

A split is a training file, a test file and the night between them; every setting is a default.

    lfm1b-500u   no times: the first a of a listener's sessions train, those up to b test. The training file is ingested
                 with the night as its end date, the test file with an end date as many days later as the longest test
                 part has sessions, so each listener's test sessions end on that date, a day apart.
    30music      four windows of five days, two months apart. Few listeners are in two windows, so a whole window as
                 test would ask about strangers: the night falls inside a window, and its last days are the test.
    simulated    a world with times, a catalog, feedback and dirt, ingested whole: a night reads nothing later than itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import polars as pl

from pipelines.evaluate import evaluate
from pipelines.ingest import ingest
from pipelines.nightly import night
from pipelines.runtime.config import Settings
from pipelines.simulate import simulate
from tests.benchmarks.offline import read_sessions
from transforms.simulation.files import log_of

LFM_NIGHT = date(2024, 12, 1)
WINDOWS = (("window 3", date(2014, 8, 20), date(2014, 8, 23)), ("window 4", date(2014, 10, 19), date(2014, 10, 22)))
WORLD: dict[str, int] = {"listeners": 1_000, "tracks": 10_000, "days": 60, "seed": 1}
WORLD_END, WORLD_AHEAD = date(2026, 1, 31), 7
WORLD_NIGHTS = (date(2026, 1, 17), date(2026, 1, 24))
MAPPING = """columns: {listener_id: UserId, track_id: ItemId, started_at: Time, artist_id: ArtistId}
time: unix_s
delimiter: "\\t"
"""


@dataclass(frozen=True)
class Split:
    """One split and the warehouse its night is made in."""

    name: str
    warehouse: str
    night: date
    ahead: int


def lfm_split(data: Path, work: Path, a: float, b: float) -> Split:
    """Write both files of a cut and ingest the training one; `--cut a b`."""
    place = work / f"lfm1b-500u-{a:g}-{b:g}"
    place.mkdir(parents=True, exist_ok=True)
    sessions = read_sessions(str(data / "lfm1b-500u" / "sessions.csv"))
    edge, stop = ((pl.col("count") * share).round().cast(pl.Int32) for share in (a, b))
    past = sessions.filter(pl.col("number") < edge)
    later = sessions.filter((pl.col("number") >= edge) & (pl.col("number") < stop))
    for name, part in (("train", past), ("test", later)):
        lines = part.select(pl.concat_str("listener_id", pl.col("tracks").list.join(","), separator=","))
        (place / f"{name}.csv").write_text("\n".join(lines.to_series()) + "\n", encoding="utf-8")
    ahead = int(later.group_by("listener_id").len()["len"].max() or 0)  # type: ignore[call-overload, arg-type]
    split = Split(f"{a:g}-{b:g}", str(place / "warehouse"), LFM_NIGHT, ahead)
    ingest(split.warehouse, "sessions", [str(place / "train.csv")], end_date=split.night)
    return split


def music_split(data: Path, work: Path, name: str, night_: date, last: date) -> Split:
    """Write both files of a window, the mapping and the catalog of the training tracks; ingest the training file."""
    place = work / f"30music-{night_}"
    place.mkdir(parents=True, exist_ok=True)
    events = pl.read_csv(data / "30music" / "events.tsv", separator="\t")
    midnight = datetime(night_.year, night_.month, night_.day, tzinfo=UTC) + timedelta(days=1)
    end = datetime(last.year, last.month, last.day, tzinfo=UTC) + timedelta(days=1)
    edge, stop = int(midnight.timestamp()), int(end.timestamp())
    past = events.filter(pl.col("Time") < edge)
    past.write_csv(place / "train.tsv", separator="\t")
    events.filter(pl.col("Time").is_between(edge, stop - 1)).write_csv(place / "test.tsv", separator="\t")
    (place / "mapping.yaml").write_text(MAPPING)
    # a catalog of the test's tracks too would tell which new ones are about to be played
    tags = pl.read_csv(data / "30music" / "item_tags.tsv", separator="\t", schema_overrides={"TagIds": pl.String})
    catalog = past.group_by("ItemId").agg(pl.col("ArtistId").min()).join(tags, on="ItemId", how="left")
    catalog.sort("ItemId").select(
        track_id="ItemId", artist_ids="ArtistId", tags=pl.col("TagIds").str.replace_all(",", ";")
    ).write_csv(place / "tracks.csv")
    split = Split(name, str(place / "warehouse"), night_, (last - night_).days)
    ingest(
        split.warehouse,
        "csv",
        [str(place / "train.tsv")],
        mapping=str(place / "mapping.yaml"),
        tracks=str(place / "tracks.csv"),
        end_date=night_,
    )
    return split


def simulated_split(work: Path, night_: date, listeners: int = WORLD["listeners"]) -> Split:
    """Simulate the world, unless it is there, and ingest all of it; each night has a warehouse of its own."""
    world, place = work / f"world-{listeners}", work / f"simulated-{listeners}-{night_}"
    if not (world / "truth" / "dirt.parquet").exists():
        simulate(listeners, WORLD["tracks"], WORLD["days"], str(world), WORLD["seed"], end_date=WORLD_END)
    split = Split(f"night {night_}", str(place / "warehouse"), night_, WORLD_AHEAD)
    ingest(
        split.warehouse,
        "csv",
        **log_of(world),
        end_date=WORLD_END,
    )
    return split


def run_night(split: Split, settings: Settings | None = None) -> None:
    """The night in the ranker's order, then the test part, then its evaluation; what is current is not made again."""
    settings = settings or Settings()
    night(split.warehouse, split.night, settings, greedy=True)
    test = next(Path(split.warehouse).parent.glob("test.*"), None)
    end = split.night + timedelta(days=split.ahead)
    if test is None:
        pass  # a simulated world is ingested whole
    elif test.suffix == ".csv":
        ingest(split.warehouse, "sessions", [str(test)], end_date=end)
    else:
        ingest(split.warehouse, "csv", [str(test)], mapping=str(test.parent / "mapping.yaml"), end_date=end)
    evaluate(split.warehouse, split.night, split.ahead, settings=settings)
