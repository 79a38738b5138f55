"""Logs that are odd and right: one listener, one track, only skips, no catalog to speak of, one history of many years."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path

from pipelines.ingest import ingest
from pipelines.nightly import night
from tests.pipelines.world import LIGHT
from transforms.tables.warehouse import Warehouse

LAST = date(2026, 1, 28)
# Checks are for what a service's log should look like; `--accept-gates` takes such a night as it is.
# Semantic ids and what generates them are made of whatever there is, so they are among the models.
TAKEN = LIGHT.model_copy(
    update={
        "models": LIGHT.models.model_copy(update={"use_generative": True, "use_adjacent_artists": True}),
        "gates": LIGHT.gates.model_copy(update={"enforce": False}),
        "bootstrap": LIGHT.bootstrap.model_copy(update={"nights": 1, "days_apart": 2}),
    }
)
HEADER = "u,t,at,ms"
MAPPING = "columns: {listener_id: u, track_id: t, started_at: at, ms_played: ms}\n"
CATALOG = "track_id,title,artist_ids\n"


def line(who: str, track: str, day: date, minute: int, ms: int = 200_000) -> str:
    """A play at so many minutes after eight."""
    return f"{who},{track},{day}T{8 + minute // 60:02}:{minute % 60:02}:00Z,{ms}"


def some(days: int, who: int, tracks: int, ms: int = 200_000, plays: int = 6) -> list[str]:
    """So many listeners, each with some plays a day, of tracks in turn."""
    return [
        line(f"listener {n}", f"t{(n * 5 + d * 2 + k) % tracks}", LAST - timedelta(d), 4 * k + n % 4, ms)
        for d in range(days)
        for n in range(who)
        for k in range(plays)
    ]


LOGS: dict[str, tuple[Callable[[], list[str]], str | None]] = {
    "one listener": (lambda: some(10, 1, 30), None),
    "one play": (lambda: [line("listener 0", "t0", LAST, 0)], None),
    "one track": (lambda: some(10, 6, 1), None),
    "only skips": (lambda: some(10, 6, 30, ms=900), None),
    "an empty catalog": (lambda: some(10, 6, 30), ""),
    "a catalog that names every track twice": (
        lambda: some(10, 6, 30),
        "".join(f"t{n},Title {n} {again},artist {n % 5}\n" for n in range(30) for again in "ab"),
    ),
}


def made(folder: Path, rows: list[str], catalog: str | None = None) -> Warehouse:
    """The night of the last day over a log of some lines.

    Raises:
        UserError: what the command would say.
    """
    (folder / "log.csv").write_text("\n".join([HEADER, *rows]) + "\n")
    (folder / "mapping.yaml").write_text(MAPPING)
    more = {}
    if catalog is not None:
        (folder / "tracks.csv").write_text(CATALOG + catalog)
        more["tracks"] = str(folder / "tracks.csv")
    warehouse = Warehouse(str(folder / "w"))
    ingest(
        warehouse.url,
        "csv",
        [str(folder / "log.csv")],
        mapping=str(folder / "mapping.yaml"),
        end_date=LAST,
        settings=TAKEN,
        **more,
    )
    night(warehouse.url, LAST, TAKEN)
    return warehouse
