"""A whole small night: what it promises its readers, and that it equals a direct computation in memory."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from models.rankers.kinds import load
from pipelines.cli.preview import preview
from pipelines.cli.report import gather
from pipelines.nightly import night
from pipelines.recommender.artefacts import fetch
from pipelines.recommender.fitting import Fitted
from pipelines.recommender.night import sums
from pipelines.recommender.registry import read_by
from pipelines.recommender.scoring import Scorer
from pipelines.recommender.scoring_plan import Plan
from tests.pipelines.tiny import put
from tests.pipelines.world import LIGHT, NIGHT, SETTINGS, World, hashes, manifests, without
from transforms.common.errors import UserError
from transforms.reporting.models import table as models_took
from transforms.shelves.home_learning import DAYS
from transforms.signals.declared import of_record
from transforms.tables.as_of import all_tracks, as_of
from transforms.tables.chunks import Chunk
from transforms.tables.order import ordered
from transforms.tables.records import record_of
from transforms.tables.schema import TABLES
from transforms.tables.warehouse import Warehouse, days

SHELVES = [s.shelf_id for s in SETTINGS.shelves.shelves]


@pytest.fixture(scope="module")
def shelves(world: World) -> pl.DataFrame:
    return world.warehouse.read("shelves", NIGHT)


@pytest.fixture(scope="module")
def shown(shelves: pl.DataFrame) -> pl.DataFrame:
    """One row an item or spare, with its recording."""
    return pl.concat([of(shelves, kind) for kind in ("items", "spares")])


def of(shelves: pl.DataFrame, kind: str) -> pl.DataFrame:
    """`listener_id`, `shelf_id`, `kind` and the fields of every item or spare, in the order they stand."""
    rows = shelves.select("listener_id", "shelf_id", "status", pl.lit(kind).alias("kind"), entry=pl.col(kind))
    return rows.explode("entry").drop_nulls("entry").unnest("entry")


def record(warehouse: Warehouse, table: str) -> dict[str, Any]:
    """What stands of the job that made the night's table."""
    found = record_of(warehouse, warehouse.need(table, NIGHT).run_id)
    assert found is not None
    return found


def recordings(warehouse: Warehouse) -> pl.DataFrame:
    newest = warehouse.newest("tracks", NIGHT)
    assert newest is not None
    return warehouse.read_manifest(newest, ["track_id", "recording_id", "artist_ids", "markets", "explicit"])


def heard(warehouse: Warehouse) -> pl.DataFrame:
    """`listener_id`, `recording_id` of everything heard or saved up to the night, from listens and feedback alone."""
    filed = [warehouse.read("listens", d) for d in warehouse.dates("listens") if d <= NIGHT]
    # a play without a length counts as heard unless it was skipped
    known = pl.col("ms_played").is_not_null()
    long = pl.when(known).then(pl.col("ms_played") >= 30_000).otherwise(~pl.col("skipped").fill_null(False))
    plays = pl.concat(filed).filter(pl.col("completed").fill_null(False) | long)
    acts = pl.concat([warehouse.read("feedback", d) for d in warehouse.dates("feedback") if d <= NIGHT])
    saves = acts.filter(pl.col("kind") == "save").select("listener_id", track_id="target")
    both = pl.concat([plays.select("listener_id", "track_id"), saves])
    return both.join(recordings(warehouse), on="track_id", how="left").select(
        "listener_id", recording_id=pl.coalesce("recording_id", "track_id")
    )


def test_every_listener_has_every_shelf_with_a_valid_status(world, shelves):
    everyone = world.warehouse.read_newest("listeners", NIGHT)
    roster = everyone.filter(pl.col("joined_on") <= NIGHT)["listener_id"]  # one joins the day after
    assert shelves.height == roster.len() * len(SHELVES) == (everyone.height - 1) * 21 == 79 * 21
    assert_frame_equal(
        shelves.select("listener_id", "shelf_id").sort(pl.all()),
        roster.to_frame().join(pl.DataFrame({"shelf_id": SHELVES}), how="cross").sort(pl.all()),
    )
    assert set(shelves["status"]) <= {"personal", "fallback", "empty"}
    assert shelves.filter(pl.col("status") == "personal").height > shelves.height / 2
    assert shelves.filter((pl.col("status") != "personal") & pl.col("status_reason").is_null()).is_empty()
    assert (shelves.filter(pl.col("status") == "empty")["items"].list.len() == 0).all()
    assert (shelves.filter(pl.col("status") != "empty")["items"].list.len() > 0).all()
    assert shelves["version"].unique().to_list() == [world.warehouse.need("shelves", NIGHT).version]


def test_discover_weekly_holds_nothing_that_was_heard_in_any_version(world, shown):
    discover = shown.filter(pl.col("shelf_id") == "discover-weekly")
    assert discover.height > 1000
    named = discover.join(recordings(world.warehouse), on="track_id")
    assert named.height == discover.height
    known = heard(world.warehouse)
    assert known.height > 2000
    assert named.join(known, on=["listener_id", "recording_id"], how="semi").is_empty()
    own = (pl.col("shelf_id") == "on-repeat") & (pl.col("status") == "personal")
    repeat = shown.filter(own).join(recordings(world.warehouse), on="track_id")
    assert repeat.height > 500
    assert repeat.join(known, on=["listener_id", "recording_id"], how="anti").is_empty()


def test_nothing_blocked_unplayable_or_twice_on_a_surface(world, shelves, shown):
    warehouse = world.warehouse
    acts = pl.concat([warehouse.read("feedback", d) for d in warehouse.dates("feedback") if d <= NIGHT])
    named = shown.join(recordings(warehouse), on="track_id", suffix="_catalog")
    tracks = acts.filter(pl.col("kind") == "block_track").join(
        recordings(warehouse), left_on="target", right_on="track_id"
    )
    artists = acts.filter(pl.col("kind") == "block_artist")
    assert tracks.height and artists.height
    assert named.join(tracks, on=["listener_id", "recording_id"], how="semi").is_empty()
    credited = named.explode("artist_ids")
    assert credited.join(
        artists, left_on=["listener_id", "artist_ids"], right_on=["listener_id", "target"], how="semi"
    ).is_empty()
    people = warehouse.read_newest("listeners", NIGHT).select("listener_id", "market", "explicit_ok")
    asked = named.join(people, on="listener_id")
    playable = pl.col("markets").is_null() | pl.col("markets").list.contains(pl.col("market"))
    assert asked.filter(~playable).is_empty()
    assert asked.filter(pl.col("explicit").fill_null(False) & ~pl.col("explicit_ok").fill_null(True)).is_empty()
    surfaces = shelves.select("listener_id", "shelf_id", "surface")
    on_surface = named.filter(pl.col("kind") == "items").join(surfaces, on=["listener_id", "shelf_id"])
    apart = pl.col("surface").is_in(["dayparts", "next-session"])  # nobody sees two of these at once
    hours = pl.when(apart).then("shelf_id")
    assert not on_surface.select("listener_id", "surface", "recording_id", hours=hours).is_duplicated().any()


def test_every_item_says_where_it_came_from_and_why(world, shown):
    items = shown.filter(pl.col("kind") == "items")
    assert items.height > 3000
    assert items.select(pl.col("source", "reason", "artist_ids", "score").null_count()).row(0) == (0, 0, 0, 0)
    ranks = [c for c in world.warehouse.read("candidates", NIGHT).columns if c.startswith("rank_")]
    assert {"als", "two_tower", "co_sessions"} < set(items["source"]) <= {c.removeprefix("rank_") for c in ranks}
    counted = pl.int_range(1, pl.len() + 1, dtype=pl.Int32).over("listener_id", "shelf_id")
    assert items.filter(pl.col("position") != counted).is_empty()
    drawn = items.filter(pl.col("propensity").is_not_null())
    assert drawn.filter(pl.col("explored")).height and drawn["propensity"].is_between(0, 1, closed="right").all()


def test_the_sequence_model_finds_candidates_and_scores_what_others_found(world):
    stored = world.warehouse.read("candidates", NIGHT)
    own, others = (stored.filter(pl.col("rank_sequence").is_not_null() == found) for found in (True, False))
    assert own["listener_id"].n_unique() > 0.9 * stored["listener_id"].n_unique()
    assert not own["heard_before"].any()
    assert others["score_sequence"].n_unique() > 100
    assert {"f_z_sequence", "f_r_sequence"} <= set(stored.columns)


def test_the_manifest_of_the_shelves_names_the_version_of_everything_behind_it(world):
    warehouse = world.warehouse
    current = manifests(warehouse)
    inputs = warehouse.need("shelves", NIGHT).inputs
    for table in ("models", "rankers", "library", "sessions"):
        assert inputs[f"{table}@{NIGHT}"] == current[f"{table}@{NIGHT}"].version
    assert {key.split("@")[0] for key in inputs} >= {"tracks", "listeners", "feedback"}
    assert all(current[key].version == version for key, version in inputs.items())
    for table in ("candidates", "shelves", "draws", "removed", "listener_embeddings"):
        assert current[f"{table}@{NIGHT}"].rows > 0
    assert max(key.split("@")[1] for key in inputs if not key.startswith("tracks")) == str(NIGHT)
    assert set(warehouse.read("shelves", NIGHT)["model_version"].drop_nulls()) == {inputs[f"rankers@{NIGHT}"]}


def test_the_ranker_was_chosen_on_stored_nights_and_the_losers_stand_beside_it(world):
    assert [d for d in world.warehouse.dates("candidates")] == [NIGHT - timedelta(6), NIGHT - timedelta(3), NIGHT]
    extra = world.warehouse.need("rankers", NIGHT).extra
    figures = {name: extra[f"ndcg50_ppm_{name}"] for name in ("blend", "linear", "cross", "average")}
    assert all(0 < value < 1_000_000 for value in figures.values())
    tried = next(name for name in ("linear", "halfway", "cross", "average") if extra.get(f"tried_{name}"))
    assert extra[f"chosen_{tried if extra['gain_low_ppm'] > 0 else 'blend'}"] == 1 and extra["unseen_nights"] == 1
    assert extra["rows"] == sum(world.warehouse.need("candidates", NIGHT - timedelta(n)).rows for n in (3, 6))


def test_the_report_tells_what_each_model_took_to_train_and_to_score(world):
    jobs = gather(world.warehouse, NIGHT).jobs
    assert not any(counter.startswith("took.") for counter in record(world.warehouse, "shelves")["counters"])
    rows = {row.name: row for row in models_took(jobs, read_by())}
    trained = {"als", "two_tower", "sequence", "neighbours", "clusters", "popularity", "ranker"}
    assert all(rows[name].training.seconds > 0 and rows[name].training.rows > 0 for name in trained)
    listeners = world.warehouse.read("shelves", NIGHT)["listener_id"].n_unique()
    for name in trained | {"library", "features", "shelves"}:
        assert rows[name].scoring.seconds > 0, name
    assert {"co_sessions", "last_session", "next_tracks"} <= set(rows["neighbours"].sources)
    assert rows["als"].scoring.rows == rows["library"].scoring.rows == listeners
    took = next(j for j in jobs if j.name == "score" and j.dates == NIGHT.isoformat())
    assert sum(part["seconds"] for part in took.parts.values()) <= took.seconds


def test_a_second_call_makes_nothing_new(world, tmp_path):
    warehouse = World.copy(world.made, tmp_path / "again")
    before = {p: (Path(warehouse.url) / p).stat().st_mtime_ns for p in warehouse.store.paths("")}
    night(warehouse.url, NIGHT, SETTINGS)
    assert {p: (Path(warehouse.url) / p).stat().st_mtime_ns for p in warehouse.store.paths("")} == before
    assert {k: m.run_id for k, m in manifests(warehouse).items()} == {
        k: m.run_id for k, m in manifests(world.warehouse).items()
    }


def test_previews_commit_nothing(world, tmp_path, capsys):
    warehouse = World.copy(world.made, tmp_path / "preview")
    who = warehouse.read("shelves", NIGHT)["listener_id"].unique().sort()[:3].to_list()
    (tmp_path / "ids.txt").write_text("\n".join(who) + "\n")
    wanted = ["rediscover", "popular-now"]
    preview(warehouse.url, NIGHT, NIGHT, SETTINGS, shelves=wanted, listeners_file=str(tmp_path / "ids.txt"))
    assert {k: m.to_json() for k, m in manifests(warehouse).items()} == {
        k: m.to_json() for k, m in manifests(world.warehouse).items()
    }
    paths = [
        line.split(": ")[1].split(" (")[0] for line in capsys.readouterr().out.splitlines() if "not committed" in line
    ]
    folder = next(Path(path) for path in paths if "/shelves/" in path)
    rows = pl.concat([pl.read_parquet(f) for f in sorted(folder.glob("*.parquet"))])
    assert sorted(set(rows["listener_id"])) == who
    assert sorted(set(rows["shelf_id"])) == sorted(wanted)
    # as the whole night has them: what stands on a shelf before them on their surface is not on them
    committed = warehouse.read("shelves", NIGHT).filter(
        pl.col("listener_id").is_in(who) & pl.col("shelf_id").is_in(wanted)
    )
    key = ["listener_id", "shelf_id", "status", "home_position"]
    assert_frame_equal(rows.select(key).sort(key), committed.select(key).sort(key))
    assert_same_order(rows, committed)
    with pytest.raises(UserError, match="unknown shelf"):
        preview(warehouse.url, NIGHT, NIGHT, SETTINGS, shelves=["nosuch"])


def test_a_fit_date_scores_a_later_night_with_the_models_as_of_then(light, tmp_path):
    warehouse = World.copy(light.made, tmp_path / "fit")
    later = NIGHT + timedelta(1)
    night(warehouse.url, later, LIGHT, fit_date=NIGHT)
    inputs = warehouse.need("shelves", later).inputs
    assert {inputs[f"{t}@{NIGHT}"] for t in ("models", "rankers")} == {
        light.warehouse.need(t, NIGHT).version for t in ("models", "rankers")
    }
    assert f"library@{later}" in inputs
    assert f"models@{later}" not in inputs
    assert warehouse.current("models", later) is None
    assert set(warehouse.read("shelves", later)["run_date"]) == {later}
    with pytest.raises(UserError, match="later than the night"):
        night(warehouse.url, NIGHT, LIGHT, fit_date=later)


def test_the_night_equals_a_direct_computation_in_memory(world):
    """No Beam, no shards: all listeners as one chunk through the same Scorer."""
    warehouse = world.warehouse
    models, ranker, made = (warehouse.need(t, NIGHT) for t in ("models", "rankers", "shelves"))

    def last(table: str, count: int) -> list:
        return [warehouse.current(table, d) for d in days(NIGHT - timedelta(count - 1), NIGHT)]

    found = {
        "listeners": [warehouse.newest("listeners", NIGHT)],
        "library": as_of(warehouse.url, NIGHT).library(),
        "sessions": last("sessions", SETTINGS.candidates.session_days),
        "feedback": [warehouse.current("feedback", d) for d in warehouse.dates("feedback") if d <= NIGHT],
        "exclusions": as_of(warehouse.url, NIGHT).every("exclusions"),
        "suspects": last("suspects", SETTINGS.suspects.days),
        "listener_signals": last("listener_signals", SETTINGS.signals.window_days),
        "impressions": last("impressions", SETTINGS.candidates.shelf_days),
        "looks": last("looks", DAYS),
    }
    tables = {}
    for table, parts in found.items():
        frames = [TABLES[table].empty(), *(warehouse.read_manifest(m) for m in parts if m is not None)]
        tables[table] = ordered(pl.concat(frames), TABLES[table].key)
        shards = {f.shard for m in parts if m is not None for f in warehouse.whole(m).files}
        assert shards == {0, 1} or table in ("exclusions", "suspects", "looks")  # nothing trivial is compared
    plan = Plan(
        day=NIGHT,
        seed=SETTINGS.seed,
        k=SETTINGS.candidates.per_source,
        keep=1.0,
        sample=1.0,
        shelves=True,
        greedy=False,
        model_version=models.version,
        ranker_version=ranker.version,
        versions={"shelves": made.version},
        settings=SETTINGS.shelves,
        signals=of_record(made.settings["signals"]["declared"]),
        looked=sums(as_of(warehouse.url, NIGHT).window("looks", max(DAYS, SETTINGS.shelves.home.window_days))),
    )
    fitted = Fitted.load(fetch(warehouse.url, models, NIGHT), SETTINGS.models)
    tracks = all_tracks(warehouse, warehouse.newest("tracks", NIGHT))
    sample = warehouse.read("session_sample", NIGHT)
    scorer = Scorer(plan, fitted, load(fetch(warehouse.url, ranker, NIGHT)), tracks, sample)
    (direct,) = scorer.score(Chunk(0, tables))
    shards = [f.shard for f in made.files]
    assert sorted(shards) == [0, 1]
    assert_same_order(direct["shelves"], warehouse.read("shelves", NIGHT))
    key = ["listener_id", "track_id", "heard_before", "stage"]
    one, other = ranked(direct["candidates"]), ranked(warehouse.read("candidates", NIGHT))
    assert_frame_equal(one.select(key).sort(key), other.select(key).sort(key))
    # blocks of other listeners round sums otherwise: where two tracks tie for a source, their ranks there may swap
    moved = one.join(other, on=key).filter(pl.col("ranker_rank") != pl.col("ranker_rank_right"))
    assert moved.height <= one.height // 1000


def test_four_shards_give_the_shelves_of_two(world, tmp_path):
    warehouse = World.copy(world.made, tmp_path / "four")
    without(warehouse, NIGHT)
    split = warehouse.read("listens", NIGHT)  # the log itself doubles on the night's date
    put(warehouse, "listens", NIGHT, split, shards=4)
    assert {warehouse.need("listens", NIGHT - timedelta(n)).shards for n in (0, 1)} == {4, 2}
    night(warehouse.url, NIGHT, SETTINGS.model_copy(update={"shards": 4}))
    made = warehouse.need("shelves", NIGHT)
    assert sorted({f.shard for f in made.files}) == [0, 1, 2, 3]
    assert {m.shards for k, m in manifests(warehouse).items() if k == f"library@{NIGHT}"} == {4}
    assert_same_order(warehouse.read("shelves", NIGHT), world.warehouse.read("shelves", NIGHT))
    # one file a shard, and each shard's bytes are those of the listeners that stand in it
    assert hashes(warehouse)[f"shelves@{NIGHT}"] != hashes(world.warehouse)[f"shelves@{NIGHT}"]


def ranked(candidates: pl.DataFrame) -> pl.DataFrame:
    columns = ["listener_id", "track_id", "heard_before", "ranker_rank", "stage", "ranker_score"]
    return candidates.select(columns).sort("listener_id", "heard_before", "ranker_rank")


def assert_same_order(one: pl.DataFrame, other: pl.DataFrame) -> None:
    """Equal ids in equal order on every shelf, except where two scores stand within 1e-5 of each other."""
    for kind in ("items", "spares"):
        left, right = (places(of(frame, kind)) for frame in (one, other))
        assert left.height == right.height > 0
        both = left.join(right, on=["listener_id", "shelf_id", "place"], how="full")
        moved = both.filter(pl.col("track_id").ne_missing(pl.col("track_id_right")))
        assert moved.filter(((pl.col("score") - pl.col("score_right")).abs() > 1e-5).fill_null(True)).is_empty()
        assert moved.height <= left.height // 100


def places(shown: pl.DataFrame) -> pl.DataFrame:
    shown = shown.sort("listener_id", "shelf_id", "position", maintain_order=True)
    return shown.select(
        "listener_id",
        "shelf_id",
        "track_id",
        "score",
        place=pl.int_range(pl.len()).over("listener_id", "shelf_id"),
    )


def test_the_comparison_sees_a_difference(shelves):
    turned = pl.col("items").list.reverse()
    anew = pl.element().struct.with_fields(position=pl.int_range(pl.len(), dtype=pl.Int32))
    with pytest.raises(AssertionError):
        assert_same_order(shelves.with_columns(turned.list.eval(anew)), shelves)
