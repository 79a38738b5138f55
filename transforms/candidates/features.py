"""The ranker's features of a block's candidates: one way to compute them, for training and for scoring.

Everything is as of the block's night: the block holds nothing later, and what was learned from other listeners comes in
as fitted artefacts. Five groups, all float32 columns named `f_*`:

- sources: each score standardised among the listener's candidates of equal `heard_before` (`f_z_<source>`;
  `f_s_<source>` for sources the blend does not sum), its rank (`f_r_<source>` = 1 - log(rank) / log(1 + k), 0 if not
  retrieved), how many sources agree (`f_agree`), and the sum of score and rank (`f_blend`), which alone is the
  untrained ranker; where a source cannot know a track, see `of_unplayed`;
- list: whether the track was heard before (`f_heard`): discoveries and repeats are ordered apart;
- listener: appetite for new tracks, session habits, size of the library;
- track: popularity, trend, skip and completion rates, age, number of listeners;
- pair: how much of the candidate's company in sessions the listener knows (`f_company`), its closest link to the
  history (`f_link_best`), its likeness to the last sessions (`f_like_sessions`), how many clusters of listeners alike
  heard it (`f_alike_clusters`), artist affinity and recency, albums under way, one's own plays of it where it was
  heard before.

A feature that the data cannot know is 0 for everyone and costs quality only. Formulas stand with the functions.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cached_property

import numpy as np
import polars as pl
from scipy import sparse

from transforms.candidates import loops
from transforms.candidates.artists import affinity
from transforms.candidates.base import (
    SparseScores,
    Traits,
    look_up,
    pair_dots,
    pair_keys,
    positions,
    product_at_pairs,
    products_at_pairs,
    row_numbers,
)
from transforms.candidates.blocks import Block, Catalog
from transforms.candidates.cut import cut
from transforms.candidates.history import POSITIVE, last_sessions, root_decayed
from transforms.candidates.learned import Learned
from transforms.candidates.neighbours import Neighbours
from transforms.candidates.settings import CutSettings
from transforms.candidates.similar_listeners import Clusters, SimilarListeners

RANK_WEIGHT = 8.0  # ranks among the found are spread about an eighth as wide as standardised scores
_CARRIED = 0.5
_AGE_DAYS = 365.0
_POSITIONS = 1_000_000


@dataclass(frozen=True)
class Directions:
    """Vectors of tracks of which cosines are taken: their lengths are measured once a process, not once a block.

    Attributes:
        vectors: float32 [n_items, d]; a vector of zeros has no direction.
    """

    vectors: np.ndarray

    @cached_property
    def inverse_lengths(self) -> np.ndarray:
        """float32 [n_items], 0 where there is no direction."""
        length = np.linalg.norm(self.vectors, axis=1)
        return np.where(length > 0, 1 / np.where(length > 0, length, 1), 0).astype(np.float32)


def features(
    block: Block,
    catalog: Catalog,
    candidates: pl.DataFrame,
    learned: Learned,
    sources: Iterable[Traits],
    *,
    as_of: date,
    k: int = 300,
    directions: Directions | None = None,
    keep: CutSettings | None = None,
) -> pl.DataFrame:
    """Add every `f_*` column; of sources that are not ranked there is none.

    Args:
        block, catalog: as given to `retrieve_block`.
        candidates: its result.
        learned: fitted artefacts.
        sources: those of the candidates; of each that is blended, `f_blend` sums score and RANK_WEIGHT times rank, as often as
            its `blend_weight` says.
        as_of: the night (for the age of releases).
        k: the k of `retrieve_block`.
        directions: of the tracks (iALS), by which the last sessions are compared; None = not at all.
        keep: the candidates are cut once the sources' own features are known; None = not at all.

    Returns:
        the candidates in the same order with float32 columns added, never NaN.
    """
    sources = list(sources)
    unplayed = learned.clusters.listeners[candidates["item"].to_numpy()] <= 0
    said = _of_sources(candidates, k, [source for source in sources if source.ranked], unplayed)
    if keep is not None:
        kept = cut(candidates, said["blend"], sources, keep)
        candidates, said = candidates.filter(pl.Series(kept)), {name: values[kept] for name, values in said.items()}
    rows, items = candidates["row"].to_numpy(), candidates["item"].to_numpy()
    columns = {
        **said,
        "heard": candidates["heard_before"].to_numpy(),
        **_of_listener(block, rows),
        **_of_track(catalog, learned, items, as_of),
        **_of_company(block, learned.neighbours, rows, items),
        "like_sessions": _like_sessions(block, directions, rows, items),
        "alike_clusters": _alike_clusters(block, learned.clusters, rows, items),
        **_of_own_plays(block, rows, items),
        **_of_artists(block, catalog, rows, items),
        **_of_albums(block, catalog, rows, items),
    }
    return candidates.with_columns(
        pl.Series(f"f_{name}", np.nan_to_num(np.asarray(values, np.float32), posinf=0.0, neginf=0.0))
        for name, values in columns.items()
    )


def standardise(values: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """(x - mean) / deviation within each group, float32; 0 where a group is constant.

    Args:
        values: float[m].
        groups: int[m], small non-negative codes.
    """
    return loops.standardised(np.asarray(values, np.float64), groups, int(groups.max(initial=-1)) + 1)


def _of_sources(
    candidates: pl.DataFrame, k: int, sources: Iterable[Traits], unplayed: np.ndarray
) -> dict[str, np.ndarray]:
    here = [source for source in sources if f"score_{source.name}" in candidates.columns]
    names = [source.name for source in here]
    groups = candidates["row"].to_numpy().astype(np.int64) * 2 + candidates["heard_before"].to_numpy()
    scores: dict[str, np.ndarray] = {}
    ranks: dict[str, np.ndarray] = {}
    agree = np.zeros(len(candidates), np.float32)
    for name in names:
        place = candidates[f"rank_{name}"].fill_null(0).to_numpy()
        scores[name] = standardise(candidates[f"score_{name}"].to_numpy(), groups)
        ranks[name] = np.where(place > 0, 1 - np.log(np.maximum(place, 1)) / np.log(1 + k), 0.0).astype(np.float32)
        agree += place > 0
    said = of_unplayed(scores, ranks, unplayed, [source for source in here if source.blended])
    out: dict[str, np.ndarray] = {}
    total = np.zeros(len(candidates), np.float32)
    for source in here:
        name = source.name
        out[f"{'z' if source.blended else 's'}_{name}"] = scores[name]
        out[f"r_{name}"] = ranks[name]
        if source.blended:
            total += np.float32(source.blend_weight) * (scores[name] + RANK_WEIGHT * said[name])
    return {**out, "agree": agree, "blend": total}


def of_unplayed(
    scores: dict[str, np.ndarray], ranks: dict[str, np.ndarray], unplayed: np.ndarray, blend: Sequence[Traits]
) -> dict[str, np.ndarray]:
    """What sources that learn from plays are taken to say of a track that nobody has played.

    Their silence is no evidence against it, and 0 would place it below everything they know. They are taken to follow the
    blend's sources that can know it, by half, which is about how closely sources follow each other on played tracks:
    their score becomes half the mean of the knowing ones', and so does the rank that the blend counts for them. Without
    a source that can know it nothing changes.

    Args:
        scores: standardised, by source; those of the silent are changed in place.
        ranks: as features, 0 = not found.
        unplayed: bool [m].
        blend: the sources that the blend sums.

    Returns:
        ranks as the blend counts them.
    """
    knowing = [source.name for source in blend if source.knows_unplayed]
    if not knowing or not unplayed.any():
        return ranks
    score = _CARRIED * np.mean([scores[name][unplayed] for name in knowing], axis=0)
    rank = _CARRIED * np.mean([ranks[name][unplayed] for name in knowing], axis=0)
    out = dict(ranks)
    for source in blend:
        if not source.knows_unplayed and source.retrieves != "heard":
            name = source.name
            silent = ranks[name][unplayed] <= 0
            scores[name][unplayed] = np.where(silent, score, scores[name][unplayed])
            out[name] = ranks[name].copy()
            out[name][unplayed] = np.where(silent, rank, ranks[name][unplayed])
    return out


def _of_listener(block: Block, rows: np.ndarray) -> dict[str, np.ndarray]:
    tracks = np.bincount(block.history["row"].to_numpy(), minlength=len(block))
    activity = block.activity
    return {
        "l_novelty": activity["new_share"].to_numpy()[rows],
        "l_length": np.log1p(activity["mean_length"].to_numpy())[rows],
        "l_sessions": np.log1p(activity["sessions"].to_numpy())[rows],
        "l_tracks": np.log1p(tracks)[rows],
    }


def _of_track(catalog: Catalog, learned: Learned, items: np.ndarray, as_of: date) -> dict[str, np.ndarray]:
    popularity = learned.popularity
    dated = catalog.released_on[items] >= 0
    age = np.maximum((as_of - date(1970, 1, 1)).days - catalog.released_on[items], 0)
    return {
        "t_plays": np.log1p(popularity.plays[items]),
        "t_listeners": np.log1p(learned.clusters.listeners[items]),
        "t_trend": popularity.trend[items],
        "t_skip_rate": popularity.skip_rate[items],
        "t_completion_rate": popularity.completion_rate[items],
        "t_dated": dated,
        "t_freshness": np.where(dated, np.exp(-age / _AGE_DAYS), 0.0),
    }


def _of_company(block: Block, neighbours: Neighbours, rows: np.ndarray, items: np.ndarray) -> dict[str, np.ndarray]:
    """Company of candidate i: t_ji, the decayed co-session mass with each other track j.

    company = sum over heard j of t_ji / mass_i (the share that is heard); company_recent weighs j by min(1, decayed
    plays), company_last counts only the last session; next_recent and next_last follow decayed plays and the last
    session; co_recent is the cosine sum over decayed plays. link_best = (sum over heard j of cosine_ji^4)^(1/4), nearly
    the largest cosine at the price of a sum: one close link is other evidence than many loose ones.
    """
    heard = block.matrix((POSITIVE > 0).cast(pl.Float32))
    recent = root_decayed(block)
    lately = SparseScores(recent).of(row_numbers(heard), heard.indices)  # nothing is recent that was not heard
    last = last_sessions(block, sessions=1)
    last_once = last.copy()
    last_once.data[:] = 1.0
    together, after, shared = neighbours.together, neighbours.after, neighbours.towards_shared
    mass = np.maximum(neighbours.mass[items], 1e-9)
    link, co_recent = products_at_pairs(heard, [heard.data, lately], together, rows, items, powers=[4, 1])
    company, company_recent = products_at_pairs(
        heard, [heard.data, np.minimum(lately, 1)], shared, rows, items, powers=[1, 1]
    )
    return {
        "company": company / mass,
        "company_recent": company_recent / mass,
        "company_last": product_at_pairs(last_once, shared, rows, items) / mass,
        "link_best": np.sqrt(np.sqrt(link)),
        "co_recent": np.log1p(co_recent),
        "next_recent": np.log1p(product_at_pairs(recent, after, rows, items)),
        "next_last": np.log1p(product_at_pairs(last, after, rows, items)),
    }


def _like_sessions(block: Block, directions: Directions | None, rows: np.ndarray, items: np.ndarray) -> np.ndarray:
    """Cosine of the candidate's vector v_i with m_u, what the last sessions sound like on average.

        m_u = sum over tracks j of the last ten sessions of w_uj v_j / |v_j|

    w_uj is the root of j's plays, each halved with every session back, as in the source `last_session`. A listener without
    sessions, and a track without a vector, is like nothing: 0.
    """
    if directions is None:
        return np.zeros(len(rows), np.float32)
    vectors, inverse = directions.vectors, directions.inverse_lengths
    weights = last_sessions(block)
    weights.data *= inverse[weights.indices]
    mean = np.asarray(weights @ vectors, np.float32)
    size = np.linalg.norm(mean, axis=1, keepdims=True)
    return pair_dots(mean / np.where(size > 0, size, 1), vectors, rows, items) * inverse[items]


def _alike_clusters(block: Block, clusters: Clusters, rows: np.ndarray, items: np.ndarray) -> np.ndarray:
    """log(1 + c), c = how many of the listener's nearest clusters hold somebody who heard the candidate.

    The source `similar_listeners` says what share of their members heard it, which one cluster may decide; this says
    from how many sides it is heard.
    """
    near = SimilarListeners(clusters).likeness(block)
    near.data[:] = 1.0
    return np.log1p(product_at_pairs(near, clusters.heard, rows, items))


def _of_own_plays(block: Block, rows: np.ndarray, items: np.ndarray) -> dict[str, np.ndarray]:
    """Own plays of the very track, 0 for tracks never played: counts and decays in log, days as exp(-age / 30)."""
    mine = block.history.filter(pl.col("item") > 0)
    keys = pair_keys(mine["row"].to_numpy(), mine["item"].to_numpy(), block.n_items)
    order = np.argsort(keys, kind="stable")
    # rows of `mine`, searched once for all columns; the last, of zeros, where there is none
    place = np.append(order, -1)[positions(keys[order], pair_keys(rows, items, block.n_items))]

    def own(expression: pl.Expr) -> np.ndarray:
        values = mine.select(expression.fill_null(0).cast(pl.Float32)).to_series().to_numpy()
        return np.append(values, np.float32(0))[place]

    return {
        "o_plays": np.log1p(own(pl.col("plays"))),
        "o_decayed": np.log1p(own(pl.col("decayed_plays"))),
        "o_decayed_short": np.log1p(own(pl.col("decayed_short"))),
        "o_activation": own(pl.col("activation").clip(-10, 5) + 10),
        "o_recency": own((pl.col("last_age") / -30).exp()),
        "o_spread": np.log1p(own(pl.col("first_age") - pl.col("last_age"))),
        "o_skips": own(pl.col("skips") / pl.col("plays").clip(lower_bound=1)),
        "o_completions": own(pl.col("completions") / pl.col("plays").clip(lower_bound=1)),
        "o_saved": own(pl.col("saved")),
        "o_sampled": own((pl.col("plays") > 0) & (pl.col("heard") == 0)),
    }


def _of_artists(block: Block, catalog: Catalog, rows: np.ndarray, items: np.ndarray) -> dict[str, np.ndarray]:
    """Of the candidate's credited artists: summed affinity, days since one was last played, share of all plays."""
    if not catalog.artists.shape[1]:
        return {name: np.zeros(len(rows)) for name in ("artist_affinity", "artist_recency", "artist_share")}
    liked = affinity(block, catalog)
    plays = sparse.csr_matrix(block.matrix(POSITIVE) @ catalog.artists)
    total = np.maximum(np.asarray(plays.sum(axis=1)).ravel(), 1.0)
    recency = _latest_by_artist(block, catalog)

    def score(weights: sparse.csr_matrix) -> np.ndarray:
        return _pair_products(weights, catalog.artists, rows, items)

    return {
        "artist_affinity": score(liked),
        "artist_recency": score(recency),
        "artist_share": score(plays) / total[rows],
    }


def _latest_by_artist(block: Block, catalog: Catalog) -> sparse.csr_matrix:
    """exp(-days / 30) since the listener last played each artist: [B, artists]."""
    mine = block.history.filter((pl.col("item") > 0) & (POSITIVE > 0) & pl.col("last_age").is_not_null())
    credited = catalog.artists[mine["item"].to_numpy()]
    at = np.repeat(np.arange(len(mine)), np.diff(credited.indptr))
    artists = catalog.artists.shape[1]
    keys = pair_keys(mine["row"].to_numpy()[at], credited.indices, artists)
    fresh = np.exp(-mine["last_age"].to_numpy()[at] / 30.0)
    order = np.lexsort((-fresh, keys))
    first = order[np.r_[True, keys[order][1:] != keys[order][:-1]]] if len(order) else order
    where = (keys[first] // artists, keys[first] % artists)
    return sparse.csr_matrix((fresh[first].astype(np.float32), where), shape=(len(block), artists))


def _pair_products(
    weights: sparse.csr_matrix, of_item: sparse.csr_matrix, rows: np.ndarray, items: np.ndarray
) -> np.ndarray:
    """sum_a weights[row, a] * of_item[item, a] of each pair, reading only the artists each item credits."""
    counts = np.diff(of_item.indptr)[items]
    pair = np.repeat(np.arange(len(items)), counts)
    first = of_item.indptr[items] - (np.cumsum(counts) - counts)
    place = np.repeat(first, counts) + np.arange(len(pair))
    weights.sort_indices()
    keys = pair_keys(row_numbers(weights), weights.indices, weights.shape[1])
    values = look_up(keys, weights.data, pair_keys(rows[pair], of_item.indices[place], weights.shape[1]))
    return np.bincount(pair, weights=values * of_item.data[place], minlength=len(items))


def _of_albums(block: Block, catalog: Catalog, rows: np.ndarray, items: np.ndarray) -> dict[str, np.ndarray]:
    """Albums under way: share of the candidate's album that is heard, and whether the track before it was heard."""
    if not (catalog.album >= 0).any():
        return {"album_heard": np.zeros(len(rows)), "album_next": np.zeros(len(rows))}
    mine = block.history.filter((pl.col("item") > 0) & (POSITIVE > 0))
    row, item = mine["row"].to_numpy(), mine["item"].to_numpy()
    inside = catalog.album[item] >= 0
    row, item = row[inside], item[inside]
    albums = int(catalog.album.max()) + 1
    size = np.bincount(catalog.album[catalog.album >= 0], minlength=albums)
    keys, heard = np.unique(pair_keys(row, catalog.album[item], albums), return_counts=True)
    album = np.maximum(catalog.album[items], 0)
    known = catalog.album[items] >= 0
    share = look_up(keys, heard, pair_keys(rows, album, albums)) / np.maximum(size[album], 1)
    position = catalog.album_position.astype(np.int64)
    item, row = item[position[item] >= 0], row[position[item] >= 0]
    spots = np.unique(pair_keys(row, catalog.album[item], albums) * _POSITIONS + position[item])
    before = pair_keys(rows, album, albums) * _POSITIONS + position[items] - 1
    follows = look_up(spots, np.ones(len(spots), np.float32), before)
    return {
        "album_heard": np.where(known, share, 0.0),
        "album_next": np.where(known & (position[items] > 0), follows, 0.0),
    }
