"""`nightshelf playlist "TEXT"`: one prompt answered at once, with the newest night's library and models.

The prompt, its intent and its list are kept in the warehouse, so that `--follows` finds them and `forget` reaches them; the job
`prompt` of the same date makes the same list again. Nothing of the text is logged.

    For you · late night jazz (12 tracks, 44 minutes)                                       prompt 5f1c0d3a9b77e210
      1  Roads · Portishead        tagged jazz
    Nothing in the catalog is tagged saxophone.
"""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Any

import polars as pl
from rich.console import Console
from rich.table import Table
from rich.text import Text

from pipelines.cli.show import of_listeners, titles
from pipelines.recommender.prompt_plan import MADE, prompting, tables_of
from pipelines.recommender.prompting import unread
from pipelines.runtime.logs import say
from transforms.common.errors import LostRace, UserError
from transforms.common.printable import plain
from transforms.prompts.filing import one
from transforms.prompts.reasons import sentence
from transforms.prompts.server import ModelServer
from transforms.tables.as_of import AsOf, as_of
from transforms.tables.chunks import Chunk, shard_of
from transforms.tables.manifest import Heading
from transforms.tables.runs import Written, finish, plan
from transforms.tables.schema import TABLES
from transforms.tables.warehouse import Warehouse
from transforms.tables.writing import write_frame

if TYPE_CHECKING:
    from pipelines.runtime.config import Settings

STEP = "2"
ATTEMPTS = 5


def playlist(
    warehouse: str,
    text: str,
    *,
    settings: Settings,
    listener: str | None = None,
    follows: str | None = None,
    minutes: float | None = None,
    size: int | None = None,
    day: date | None = None,
    console: Console | None = None,
) -> str:
    """Answer a prompt, keep it, print the list. Returns the prompt's id.

    Args:
        listener: whose taste, market and blocks count, as the warehouse knows them; None = nobody's.
        follows: id of the prompt that this one changes.
        minutes, size: length, where the text says none or another.
        day: the night; the newest by default.

    Raises:
        UserError: there is no night yet, the earlier prompt is not known or another listener's, or the text is empty.
    """
    console = console or Console()
    if day is None:
        library = Warehouse(warehouse).newest("library", date.max)
        if library is None:
            raise UserError("the warehouse has no night yet; make one first with `nightshelf run --date D`")
        day = library.date
    past = as_of(warehouse, day)
    owner = _owner(past, follows, listener, settings.prompts.follow_days) if follows else None
    prompts = one(text, day, listener, follows, minutes, size, owner)
    work = prompting(past, settings, f"asked-{prompts['prompt_id'][0]}")
    tables = tables_of(past, settings.suspects)
    tables |= {t: past.window(t, settings.prompts.follow_days + 1) if follows else [] for t in MADE}
    who = prompts["listener_id"][0]
    chunk = Chunk(0, {"prompts": prompts, **{t: _rows(past.warehouse, t, found, who) for t, found in tables.items()}})
    made = work.prompter().answer(chunk, _answers(chunk, settings.prompts.model, work.what.model))
    for table, rows in (("prompts", prompts), ("intents", made["intents"]), ("playlists", made["playlists"])):
        _keep(past.warehouse, table, day, rows, settings.shards)
    row = made["playlists"].row(0, named=True)
    _print(past.warehouse, day, row, made["playlists"], console)
    return str(row["prompt_id"])


def _answers(chunk: Chunk, server: ModelServer, model: str) -> dict[str, str]:
    """What the model answers, where one is asked at all; a failure is told and the rules' reading stands."""
    if not server.url or not model:
        return {}
    from transforms.prompts.chat import NoAnswer, ask

    try:
        return {text_hash: ask(text, server) for text_hash, text in unread(chunk, model)}
    except NoAnswer as error:
        say("WARNING", f"the model gave no answer ({error}); the prompt was read by rules alone")
        return {}


def _owner(past: AsOf, follows: str, listener: str | None, back: int) -> str:
    """Whose an earlier prompt is."""
    for manifest in reversed(past.window("prompts", back + 1)):
        found = past.warehouse.read_manifest(manifest, ["prompt_id", "listener_id"])
        found = found.filter(pl.col("prompt_id") == follows)
        if found.height:
            owner = str(found["listener_id"][0])
            if listener is not None and owner != listener:
                raise UserError("--follows: expected a prompt of this listener, found another's; leave --listener out")
            return owner
    raise UserError(
        f"--follows: no prompt of that id in {back} days up to {past.day}; `nightshelf playlist` prints ids"
    )


def _rows(warehouse: Warehouse, table: str, found: list[Heading], listener: str) -> pl.DataFrame:
    frames = [f for m in found if (f := of_listeners(warehouse, m, [listener])).height]
    if not frames:
        return TABLES[table].empty()
    return TABLES[table].completed(pl.concat(frames, how="diagonal"))


def _keep(warehouse: Warehouse, table: str, day: date, rows: pl.DataFrame, shards: int) -> None:
    """Add a prompt's row to a table of the date, unless it is there already."""
    for _ in range(ATTEMPTS):
        current = warehouse.current(table, day)
        name = f"asked {rows['prompt_id'][0]}"
        before = current.inputs if current else {}
        if name in before:
            return
        run = plan(
            warehouse,
            table,
            day,
            shards=current.shards if current else shards,
            inputs={**before, name: ""},
            settings=current.settings if current else {},
            step_version=STEP,
            append=True,
            extra=dict(current.extra) if current else {},
        )
        if run is None:
            return
        shard = int(shard_of(rows["listener_id"], run.shards)[0])
        written = Written(table, day.isoformat(), write_frame(run, shard, rows))
        try:
            finish(run, [written])
            return
        except LostRace:
            continue
    raise UserError("other prompts were kept at the same time, five times over; ask again")


def _print(warehouse: Warehouse, day: date, row: dict[str, Any], rows: pl.DataFrame, console: Console) -> None:
    names = titles(warehouse, day, rows.with_columns(spares=pl.col("items").list.head(0)))
    head = f"{row['title']} ({len(row['items'])} tracks, {row['minutes']:.0f} minutes)"
    view = Table(title=Text(plain(head)), title_justify="left", box=None, show_header=False)
    for item in row["items"]:
        name = names.get(item["track_id"], item["track_id"])
        why = sentence(item["reason"], item["reason_ref"])
        view.add_row(str(item["position"]), Text(plain(name)), Text(plain(why)))
    console.print(view)
    console.print(Text(plain(row["said"])))
    console.print(f"prompt {row['prompt_id']}", highlight=False)
