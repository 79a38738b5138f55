"""Tables of prompted playlists: what was asked, how it was understood, what was made of it. All of it is personal."""

from __future__ import annotations

import pyarrow as pa

from transforms.tables.columns import LISTENER, SHELF_ITEM, STRINGS, TIMESTAMP, Column, Table, list_of

UNMET = pa.struct([pa.field("wish", pa.string(), nullable=False), pa.field("why", pa.string(), nullable=False)])
_PROMPT = Column(
    "prompt_id", pa.string(), "the prompt; where none was given, a hash of what it says, whose it is and when"
)
_FOLLOWS = Column("follows", pa.string(), "the prompt that this one changes", True)

PROMPTED: tuple[Table, ...] = (
    Table(
        "prompts",
        "prompt",
        ("listener_id", "prompt_id"),
        (
            _PROMPT,
            Column("listener_id", pa.string(), "who asks; `prompt:` and an id where nobody is named"),
            Column("text", pa.string(), "what was asked, as it came"),
            _FOLLOWS,
            Column("minutes", pa.float32(), "length asked for beside the text, minutes", True),
            Column("size", pa.int32(), "number of tracks asked for beside the text", True),
            Column("asked_at", TIMESTAMP, "when, UTC"),
        ),
        personal=True,
        made_by="ingest",
        keyed=True,
    ),
    Table(
        "intents",
        "prompt understood",
        ("listener_id", "prompt_id"),
        (
            _PROMPT,
            LISTENER,
            _FOLLOWS,
            Column("text_hash", pa.string(), "hash of the text, by which a model's reading is found again"),
            Column("read_by", pa.string(), "rules, or rules and the name of a model"),
            Column(
                "model_intent",
                pa.string(),
                "what the model read, checked and grounded, as JSON; null = rules alone",
                True,
            ),
            Column(
                "intent", pa.string(), "the intent that was answered, follow-ups applied, as JSON (docs/prompts.md)"
            ),
            Column("said", STRINGS, "fields of the intent that the prompt says something of"),
        ),
        personal=True,
    ),
    Table(
        "playlists",
        "prompt answered",
        ("listener_id", "prompt_id"),
        (
            Column("run_date", pa.date32(), "the night"),
            Column("version", pa.string(), "version of the table this row was made in"),
            _PROMPT,
            LISTENER,
            _FOLLOWS,
            Column("title", pa.string(), "title to show"),
            Column("status", pa.string(), "answered, relaxed (a wish is not met) or empty"),
            Column("said", pa.string(), "what to tell the listener, in sentences"),
            Column("unmet", list_of(UNMET), "what was asked for and is not given, and why"),
            Column("minutes", pa.float32(), "length, minutes; tracks of unknown length count 3.5"),
            Column("data_cutoff", TIMESTAMP, "nothing later was known"),
            Column("model_version", pa.string(), "version of the models whose company of tracks was used"),
            Column("items", list_of(SHELF_ITEM), "its tracks in order"),
        ),
        personal=True,
    ),
)
