"""Settings of shelves: one field of one shelf can be changed, and what is misspelt is said with the nearest name."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path
from typing import Any

import pytest

from pipelines.runtime.config import Settings
from pipelines.runtime.settings_file import parse, to_yaml
from transforms.common.errors import UserError
from transforms.shelves.columns import OF_EVIDENCE
from transforms.shelves.evidence import collect
from transforms.shelves.rules.registry import RULES
from transforms.shelves.settings import ShelfSettings, ShelvesSettings

DEFAULTS = ShelvesSettings()
IDS = [shelf.shelf_id for shelf in DEFAULTS.shelves]


def changed(**shelves: Any) -> ShelvesSettings:
    return ShelvesSettings.model_validate({"shelves": {name.replace("_", "-"): c for name, c in shelves.items()}})


def test_one_field_of_one_shelf_changes_and_nothing_else() -> None:
    made = changed(discover_weekly={"size": 40})
    assert made.shelf("discover-weekly") == DEFAULTS.shelf("discover-weekly").model_copy(update={"size": 40})
    assert [s for s in made.shelves if s.shelf_id != "discover-weekly"] == list(DEFAULTS.shelves[1:])


def test_one_parameter_of_one_rule_changes_and_a_rule_can_be_added_or_switched_off() -> None:
    rules = changed(
        rediscover={"rules": {"rest": {"days": 90, "least": 14}, "artist_cap": False, "duration": {"most": 600}}}
    )
    assert rules.shelf("rediscover").rules == {
        "artist_cap": False,
        "rest": {"days": 90, "least": 14, "share": 0.25},
        "min_plays": {"plays": 3},
        "duration": {"least": 0, "most": 600},
    }
    assert rules.shelf("rediscover").cap("artist_cap") is None


def test_a_shelf_is_added_at_the_end_or_before_another_and_taken_out() -> None:
    late = {"title": "Late night", "pool": "heard"}
    assert [s.shelf_id for s in changed(late=late).shelves] == [*IDS, "late"]
    moved = changed(late={**late, "before": "on-repeat"}, popular_now=False)
    at = IDS.index("on-repeat")
    left = [name for name in IDS if name != "popular-now"]
    assert [s.shelf_id for s in moved.shelves] == [*left[:at], "late", *left[at:]]
    assert moved.shelf("late").cap("artist_cap") == 2, "what a shelf does not say is as usual"


def test_a_list_names_all_shelves() -> None:
    made = ShelvesSettings.model_validate({"shelves": [{"shelf_id": "only", "title": "Only"}]})
    assert [s.shelf_id for s in made.shelves] == ["only"]


def test_what_config_prints_is_read_again_as_it_was() -> None:
    settings = Settings.model_validate({"shelves": {"shelves": {"rediscover": {"rules": {"artist_cap": False}}}}})
    assert parse(Settings, to_yaml(settings), "printed") == settings


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"on-repeat": {"rules": {"artst_cap": {"most": 3}}}}, "no rule 'artst_cap'; did you mean 'artist_cap'"),
        ({"on-repeat": {"rules": {"rest": {"day": 3}}}}, "day"),
        ({"on-repeat": {"rules": {"market": False}}}, "'market' holds on every shelf"),
        ({"on-repeat": {"rules": ["rest"]}}, "rules by name"),
        ({"on-repeat": {"rest_days": 3}}, "rest_days is a rule now"),
        ({"on-repat": {"size": 3}}, "'on-repat' is new and needs a title; the shelves that are there: discover-weekly"),
        ({"on-repat": False}, "'on-repat' is to be taken out"),
        ({"on-repeat": {"fallback": "no-history"}}, r"write fallback: \[popular-without-history\]"),
        ({"on-repeat": {"sources": {"als": 0.5}}}, "sources"),
        ({"on-repeat": {"new_tracks": {"slots": 18}}}, "must be less than size"),
        ({"on-repeat": 3}, "expected its fields"),
        ({"on-repeat": {"before": "no-such"}}, "before 'no-such'"),
        ({"on-repeat": {"shelf_id": "other"}}, "names itself 'other'"),
    ],
)
def test_what_is_wrong_is_named(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ShelvesSettings.model_validate({"shelves": change})


@pytest.mark.parametrize("where", ["requires", "order", "preferred"])
def test_a_misspelt_column_is_refused_when_settings_are_loaded_and_the_nearest_is_offered(where: str) -> None:
    value: Any = {"requires": ["rank_artist"], "order": {"rank_artist": 1.0}, "preferred": "rank_artist"}[where]
    text = f"shelves: {{shelves: {{discover-weekly: {{{where}: {value!r}}}}}}}"
    with pytest.raises(
        UserError, match=r"'discover-weekly' names the column 'rank_artist'.*did you mean 'rank_artists'"
    ):
        parse(Settings, text, "settings.yaml")


def test_a_source_that_is_not_there_is_refused_like_a_column() -> None:
    with pytest.raises(UserError, match="rank_contents.*did you mean 'rank_content'"):
        parse(Settings, "shelves: {shelves: {fresh-finds: {sources: {contents: 5}}}}", "settings.yaml")


def test_the_evidence_that_settings_may_name_is_what_is_made() -> None:
    assert set(collect.COLUMNS) == set(OF_EVIDENCE)
    assert {shelf.named_by for shelf in DEFAULTS.shelves if shelf.named_by} <= set(collect.SUBTITLES)


def test_every_default_shelf_gives_a_reason_of_its_own_for_being_empty() -> None:
    reasons = [shelf.why() for shelf in DEFAULTS.shelves]
    assert len(set(reasons)) == len(reasons) - 6, "six mixes have one reason, and the later two contexts"
    assert changed(rediscover={"rules": {"rest": {"days": 90}}}).shelf("rediscover").why() == (
        "nothing played often was left alone long enough: 90 days, less where the history is short or quick"
    )
    assert changed(new={"title": "New", "requires": ["rank_albums"]}).shelf("new").why() == (
        "no unheard candidate of albums passes the rules"
    )


def test_the_example_of_the_docs_is_read_and_every_rule_and_field_is_in_its_tables() -> None:
    text = (Path(__file__).parents[3] / "docs" / "shelves.md").read_text()
    block = re.search(r"(?:^    .*\n)+", text[text.index("laid over these") :], re.MULTILINE)
    assert block is not None
    made = parse(Settings, textwrap.dedent(block.group()), "docs/shelves.md").shelves
    assert made.shelf("rediscover").rules["rest"]["days"] == 90  # type: ignore[index]
    assert [s.shelf_id for s in made.shelves][3] == "late-night" and "popular-now" not in [
        s.shelf_id for s in made.shelves
    ]
    assert all(f"`{name}`" in text for name in (*RULES, *ShelfSettings.model_fields.keys() - {*OBVIOUS}))


OBVIOUS = ("shelf_id", "title", "surface", "size", "spares")
