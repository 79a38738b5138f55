"""The source `generative`: only what may be played on the night is searched, and content says what a track is."""

from __future__ import annotations

from datetime import date, timedelta
from types import SimpleNamespace

import numpy as np
import polars as pl
from scipy import sparse

from models.vocabulary import Vocabulary
from pipelines.recommender.parts.generative import content_bag
from tests.transforms.candidates.worlds import NIGHT, ROSTER, blocks_of, catalog_of, listens
from transforms.candidates.base import SourceInputs, numpy_top_k
from transforms.candidates.blocks import Catalog
from transforms.candidates.generative import Generative, playable

OUT = {"a": NIGHT - timedelta(400), "b": NIGHT, "c": NIGHT + timedelta(1)}


def dated() -> Catalog:
    tracks = pl.DataFrame({"track_id": [*OUT, "d"], "released_on": [*OUT.values(), None]})
    return Catalog.build(["", "a", "b", "c", "d"], tracks)


def test_a_track_that_is_not_out_yet_is_not_playable_and_one_of_unknown_date_is() -> None:
    assert playable(dated(), NIGHT).tolist() == [False, True, True, False, True]
    assert playable(dated(), date(1960, 1, 1)).tolist() == [False, False, False, False, True]


def test_it_searches_what_may_be_played_and_scores_any_pair() -> None:
    plays = listens()
    catalog = catalog_of(plays)
    block = blocks_of(plays, catalog)[0]
    vectors = np.eye(len(catalog), dtype=np.float32)
    vectors[0] = 0
    asked = []

    def search(allowed: np.ndarray):
        asked.append(allowed)
        return numpy_top_k(vectors * allowed[:, None])

    def states(items: np.ndarray, seconds: np.ndarray) -> np.ndarray:
        return np.tile(np.arange(len(catalog), dtype=np.float32), (len(items), 1)) * (items[:, -1:] > 0)

    model = SimpleNamespace(items=vectors, length=3, states=states, search=search)
    source = Generative.of(SourceInputs(catalog, NIGHT, {"generative": model}))
    assert source is not None and source.knows_unplayed and Generative.of(SourceInputs(catalog, NIGHT, {})) is None
    assert asked[0].tolist() == playable(catalog, NIGHT).tolist()
    scores = source.score(block)
    best = scores.top(1, None)
    assert set(best.items.tolist()) == {len(catalog) - 1}
    assert ROSTER.index("eve") not in best.rows
    assert scores.of(np.int32([0, 0]), np.int32([3, 1])).tolist() == [3.0, 1.0]


def test_content_is_artists_albums_and_half_as_much_tags() -> None:
    tracks = pl.DataFrame(
        {
            "track_id": ["a", "b", "elsewhere"],
            "artist_ids": [["x", "y"], ["x"], ["z"]],
            "album_id": ["one", None, "one"],
            "tags": [["t"], None, []],
        }
    )
    vocabulary = Vocabulary.build(["a", "b"])
    bag = content_bag(tracks, vocabulary)
    a, b = vocabulary.rows(["a", "b"])
    assert sorted(bag[a].data.tolist()) == [0.5, 1.0, 1.0, 1.0] and bag[b].data.tolist() == [1.0]
    assert (bag[a] @ bag[b].T).toarray().item() == 1.0, "they share an artist"
    assert content_bag(tracks.select("track_id"), vocabulary).shape == (3, 0) and isinstance(bag, sparse.csr_matrix)
