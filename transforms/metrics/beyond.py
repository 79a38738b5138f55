"""What a list does beyond being right: how much of the catalog it uses, how evenly, how unusual and how new it is.

    coverage@k         share of the catalog's items that stand in at least one listener's first k
    artist_gini@k      Gini index of exposures over all artists of the catalog: 0 = all shown alike, towards 1 = a few
                       take all. Every credited artist of an item is exposed (a guest counts as an artist)
    novelty@k          mean self-information of a list's items in bits, -log2((listeners of the item + 1) / (all + 1))
                       (Vargas & Castells, RecSys 2011); the + 1 keeps an unheard-of item finite
    new_artist_share@k share of a list's items none of whose artists the listener had played

Novelty and new artists are by listener, and so have intervals. Coverage and Gini belong to the whole: shards hand in
`exposures`, integer counts that add up in any grouping.

    >>> gini(np.array([1, 1, 1, 1])), gini(np.array([0, 0, 0, 4]))
    (0.0, 0.75)
"""

from __future__ import annotations

import numpy as np
import polars as pl


def first_places(ranked: pl.DataFrame, k: int) -> pl.DataFrame:
    """The first k places of each listener's list (listener_id, item), an item once a listener."""
    return (
        ranked.sort("listener_id", "rank")
        .with_columns(place=pl.int_range(1, pl.len() + 1).over("listener_id"))
        .filter(pl.col("place") <= k)
        .select("listener_id", "item")
        .unique(maintain_order=True)
    )


def exposures(first: pl.DataFrame) -> pl.DataFrame:
    """In how many listeners' `first_places` each item stands: item, exposures (int64), sorted by item."""
    return first.group_by("item").agg(pl.len().cast(pl.Int64).alias("exposures")).sort("item")


def gini(counts: np.ndarray) -> float:
    """Gini index of non-negative counts, zeros included; 0 for an empty or all-zero array."""
    counts = np.sort(np.asarray(counts, dtype=np.float64))
    n, total = len(counts), float(counts.sum())
    if n == 0 or total == 0.0:
        return 0.0
    return float((2.0 * np.arange(1, n + 1) - n - 1.0) @ counts / (n * total))


def coverage(shown: pl.DataFrame, catalog_items: int) -> float:
    """Share of `catalog_items` items that `shown` (from `exposures`, shards concatenated) holds."""
    return shown["item"].n_unique() / catalog_items if catalog_items else 0.0


def artist_gini(shown: pl.DataFrame, credits: pl.DataFrame) -> float:
    """Gini of exposures over the catalog's artists.

    Args:
        shown: item, exposures; shards may be concatenated.
        credits: item, artist_id; one row an item and credited artist, the whole catalog.
    """
    credits = credits.select("item", "artist_id").unique()
    per_artist = (
        credits.join(shown.group_by("item").agg(pl.col("exposures").sum()), on="item", how="left")
        .group_by("artist_id")
        .agg(pl.col("exposures").fill_null(0).sum())
    )
    return gini(per_artist["exposures"].to_numpy())


def novelty(first: pl.DataFrame, popularity: pl.DataFrame, listeners: int, k: int) -> pl.DataFrame:
    """Mean self-information of each listener's first items.

    Args:
        first: of `first_places`, k of them.
        popularity: item, listeners (how many had it by the night); an item without a row had none.
        listeners: how many listeners there were.

    Returns:
        listener_id and `novelty@k` in bits, sorted by listener_id.
    """
    share = (pl.col("listeners").fill_null(0) + 1) / (listeners + 1)
    return (
        first.join(popularity.select("item", "listeners"), on="item", how="left")
        .group_by("listener_id")
        .agg((-share.log(2.0)).sort().mean().alias(f"novelty@{k}"))
        .sort("listener_id")
    )


def played_artists(played: pl.DataFrame, credits: pl.DataFrame) -> pl.DataFrame:
    """listener_id, artist_id of every artist that a listener had played.

    Args:
        played: listener_id, item; what the listener had played by the night.
        credits: item, artist_id.
    """
    return played.join(credits, on="item").select("listener_id", "artist_id").unique()


def new_artist_share(first: pl.DataFrame, credits: pl.DataFrame, known: pl.DataFrame, k: int) -> pl.DataFrame:
    """Share of each listener's first items by artists new to the listener; items without known artists do not count.

    Args:
        first: of `first_places`, k of them.
        credits: item, artist_id; each pair once.
        known: of `played_artists`.

    Returns:
        listener_id and `new_artist_share@k`, sorted by listener_id.
    """
    return (
        first.join(credits, on="item")
        .join(known.with_columns(known=pl.lit(True)), on=["listener_id", "artist_id"], how="left")
        .group_by("listener_id", "item")
        .agg(new=pl.col("known").is_null().all())
        .group_by("listener_id")
        .agg(pl.col("new").mean().alias(f"new_artist_share@{k}"))
        .sort("listener_id")
    )
