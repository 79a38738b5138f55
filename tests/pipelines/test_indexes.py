"""Dense sources are searched approximately from a catalog size on, where the index finds enough of the exact best."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from models.approximate import Approximate
from models.settings import ApproximateSettings
from models.topk import TopK
from pipelines.recommender.evidence import Evidence
from pipelines.recommender.fitting import Fitted, fit
from pipelines.recommender.histories import HISTORIES, PLAYS, gather, tagged
from pipelines.recommender.indexes import remark
from pipelines.recommender.settings import ModelSettings
from tests.pipelines.test_evidence import PAIRS, everybody, sent
from transforms.tables.chunks import Chunk
from transforms.tables.schema import TABLES

__all__ = ["everybody"]
PLAYED = 18  # tracks that somebody played, which are the whole catalog
DENSE = ("als", "sequence", "two_tower")
PARTS = {"als": {"factors": 4, "iterations": 1}, "two_tower": {"dims": 4}, "sequence": {"dims": 4, "windows": 64}}


def asked(**approximate: float) -> ModelSettings:
    return ModelSettings.model_validate({**PARTS, "approximate": approximate})


def fitted(chunk: Chunk, settings: ModelSettings) -> Fitted:
    library, plays = (gather(tagged(sent([chunk]), tag), tag) for tag in (HISTORIES, PLAYS))
    tracks, stats = (TABLES[name].empty() for name in ("tracks", "track_stats"))
    return fit(Evidence(library, plays, tracks, PAIRS, stats, stats), settings, 1)


def searches(made: Fitted) -> dict[str, type]:
    return {name: type(made._search(name, np.asarray(made.vectors().get(name, np.eye(4))))) for name in DENSE}


def test_a_large_catalog_is_searched_by_an_index_that_finds_enough(everybody: Chunk, tmp_path: Path) -> None:
    settings = asked(tracks=PLAYED, best=5)
    made = fitted(everybody, settings)
    made.save(tmp_path)
    again = Fitted.load(tmp_path, settings)
    assert searches(made) == searches(again) == dict.fromkeys(DENSE, Approximate)
    assert {name: made.metrics()[f"index_recall_{name}"] for name in DENSE} == again.indexes.recalls
    said = remark(made.metrics(), settings.approximate)
    assert "two_tower is searched approximately: its index finds 1.000 of the 5 best" in said
    queries = np.random.default_rng(1).normal(size=(3, made["als"].item_factors.shape[1])).astype(np.float32)
    for one, other in zip(
        again._search("als", queries)(queries, None, 9), made._search("als", queries)(queries, None, 9), strict=True
    ):
        assert np.array_equal(one, other)


def test_one_that_finds_too_little_is_not_used_and_that_is_said(
    everybody: Chunk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    finds = {"als": 0.96, "two_tower": 0.94, "sequence": 0.95}
    monkeypatch.setattr("models.approximate.recall", lambda *_: finds[order.pop(0)])
    order = ["als", "two_tower", "sequence"]
    settings = asked(tracks=PLAYED)
    made = fitted(everybody, settings)
    made.save(tmp_path)
    expected = {"als": Approximate, "two_tower": TopK, "sequence": Approximate}
    assert searches(made) == searches(Fitted.load(tmp_path, settings)) == expected
    assert remark(made.metrics(), settings.approximate) == (
        "als is searched approximately: its index finds 0.960 of the 300 best; "
        "sequence is searched approximately: its index finds 0.950 of the 300 best; "
        "two_tower is searched exactly: its index finds 0.940 of the 300 best; 0.95 is asked"
    )


@pytest.mark.parametrize("tracks", [None, PLAYED + 1])
def test_a_smaller_catalog_and_the_defaults_have_no_index(tracks: int | None, everybody: Chunk, tmp_path: Path) -> None:
    settings = ModelSettings.model_validate({**PARTS, "approximate": {"tracks": tracks}})
    made = fitted(everybody, settings)
    made.save(tmp_path)
    assert searches(made) == dict.fromkeys(DENSE, TopK) and not (tmp_path / "indexes").exists()
    assert remark(made.metrics(), ApproximateSettings()) == ""
