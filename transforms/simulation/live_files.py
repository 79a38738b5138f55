"""The folder of a live world: what was delivered, what was true, and how the listeners were left each evening.

    world.json                      the world's settings; a folder holds one world
    history/ log/date=D/            listens.parquet, impressions.parquet, feedback.parquet, as a service would deliver them
    mapping.yaml tracks.parquet listeners.parquet
    truth/tracks.parquet            catchiness and lasting worth of tracks
    truth/items/date=D.parquet      each displayed item: seen, played, completed, and the true chances
    truth/listeners/date=D.parquet  each listener: sessions possible and had, satisfaction
    state/date=D.npz                the evening's state; a day that has one has been lived

Files are written whole or not at all, the state last, so a run that was killed goes on from the last whole day.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl

from transforms.common.errors import UserError
from transforms.simulation.catalog_table import tracks_frame
from transforms.simulation.files import mapping_yaml, parquet_bytes
from transforms.simulation.live import LiveWorld, Logged, Truth, true_worth
from transforms.simulation.live_state import State

TABLES = ("impressions", "feedback")


@dataclass(frozen=True)
class Folder:
    """A live world's folder."""

    root: Path

    @property
    def warehouse(self) -> str:
        """Where the pipeline's warehouse stands."""
        return str(self.root / "warehouse")

    def begin(self, world: LiveWorld, plan: dict[str, Any], days: int) -> None:
        """Write what stands before the first day, once.

        Args:
            plan: what makes the world and what it is shown; it must stay the same for a folder.
            days: how many days are to be lived: a world is drawn for its length, so that stays the same as well.

        Raises:
            UserError: another world lives here.
        """
        wanted = json.dumps({**plan, "days": days}, indent=2, sort_keys=True) + "\n"
        there = self.root / "world.json"
        if there.exists():
            if there.read_text() != wanted:
                old, new = json.loads(there.read_text()), json.loads(wanted)
                moved = ", ".join(sorted(k for k in old.keys() | new.keys() if old.get(k) != new.get(k)))
                raise UserError(f"another world lives in {self.root.name} (different: {moved}); choose another --out")
            return
        if self.root.exists() and any(self.root.iterdir()) and not (self.root / "history").exists():
            raise UserError(f"{self.root.name} is not empty and holds no live world; choose another --out")
        self._log(self.root / "history", world.history())
        files = {
            "mapping.yaml": mapping_yaml("parquet").encode(),
            "tracks.parquet": parquet_bytes(tracks_frame(world.who.settings, world.who.catalog)),
            "listeners.parquet": parquet_bytes(world.listeners()),
            "truth/tracks.parquet": parquet_bytes(true_worth(world)),
            "history/date.txt": world.first_live.isoformat().encode(),
        }
        for name, content in files.items():
            _write(self.root / name, content)
        _write(there, wanted.encode())

    def world_tables(self) -> dict[str, Any]:
        """What the first ingest is told besides the log."""
        return {"tracks": str(self.root / "tracks.parquet"), "listeners_file": str(self.root / "listeners.parquet")}

    def delivered(self, day: date) -> dict[str, Any]:
        """What `ingest` is told of a day's delivery, by argument; a day before the first lived one means the history."""
        own = self.root / "log" / f"date={day}"
        own = own if own.exists() else self.root / "history"
        found = {t: str(own / f"{t}.parquet") for t in TABLES if (own / f"{t}.parquet").exists()}
        mapping = str(self.root / "mapping.yaml")
        return {"inputs": [str(own / "listens.parquet")], "mapping": mapping, "end_date": day, **found}

    def keep(self, day: date, logged: Logged, truth: Truth, state: State) -> None:
        """Write a lived day."""
        self._log(self.root / "log" / f"date={day}", logged)
        _write(self.root / "truth" / "items" / f"date={day}.parquet", parquet_bytes(truth.items))
        _write(self.root / "truth" / "listeners" / f"date={day}.parquet", parquet_bytes(truth.listeners))
        _write(self.root / "state" / f"date={day}.npz", state.dumps())

    def state(self, day: date) -> State | None:
        """The state of a day's evening; None where the day was not lived yet."""
        there = self.root / "state" / f"date={day}.npz"
        return State.loads(there.read_bytes()) if there.exists() else None

    def summary(self, day: date) -> dict[str, Any]:
        """A lived day in a row of numbers, from its truth."""
        items = pl.read_parquet(self.root / "truth" / "items" / f"date={day}.parquet", columns=["played", "completed"])
        people = pl.read_parquet(self.root / "truth" / "listeners" / f"date={day}.parquet")
        return {
            "date": day,
            "possible": int(people["possible"].sum()),
            "sessions": int(people["sessions"].sum()),
            "listeners": int((people["sessions"] > 0).sum()),
            "shown": items.height,
            "played": int(items["played"].sum()),
            "finished": int(items["completed"].sum()),
            "satisfaction": float(people["satisfaction"].to_numpy().mean()),
        }

    def _log(self, folder: Path, logged: Logged) -> None:
        _write(folder / "listens.parquet", parquet_bytes(logged.listens))
        for name in TABLES:
            frame: pl.DataFrame = getattr(logged, name)
            if frame.height:
                _write(folder / f"{name}.parquet", parquet_bytes(frame))


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    part.write_bytes(content)
    os.replace(part, path)
