"""The likely contexts of each listener's next session: part of the day, device, and what they play from.

Of the sessions lately, each weighing 2^(-age / 14 days), and half of that on the other kind of day (weekend or not) than the one
that begins, a context has the share that was such. The likeliest come first, as many as are asked for, and none below
`least_share`. What a log does not say distinguishes nothing: without devices and contexts only the parts of the day are left.

Example: mornings on the phone .5, evenings on the speaker .3, evenings on the phone .15, nights on the phone .05: of four that
are asked for the first three are told.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal, NamedTuple

import numpy as np
import polars as pl
from pydantic import BaseModel, Field, field_validator

from transforms.shelves.cadence import DAYPARTS
from transforms.shelves.history import Occasions, places

OTHER_DAY = 0.5  # what a session on the other kind of day weighs
Part = Literal["daypart", "device", "context"]
_READS = {"device": ("device_id", "platform"), "context": ("context",)}


class NextSessionSettings(BaseModel, frozen=True, extra="forbid"):
    """What tells the contexts of next sessions apart."""

    by: tuple[Part, ...] = Field(
        default=("daypart", "device", "context"),
        min_length=1,
        description="what tells contexts apart, where the log has it: daypart, device (and its platform), context",
    )
    least_share: float = Field(
        default=0.1, ge=0, le=1, description="share of a listener's sessions lately below which a context has no row"
    )

    @field_validator("by")
    @classmethod
    def _each_once(cls, given: tuple[Part, ...]) -> tuple[Part, ...]:
        if len(set(given)) < len(given):
            raise ValueError(f"expected each of daypart, device and context at most once, found {', '.join(given)}")
        return given


class Next(NamedTuple):
    """One context of a listener's next session."""

    daypart: str | None
    device_id: str | None
    platform: str | None
    context: str | None
    share: float

    @property
    def device(self) -> str | None:
        """The device, its platform where no device is known."""
        return self.device_id or self.platform

    def __str__(self) -> str:
        """In words: the device by its platform, since ids say nothing to a person."""
        return ", ".join(one for one in (self.daypart, self.platform, self.context) if one)


@dataclass(frozen=True)
class Likely:
    """The likely contexts of listeners.

    Attributes:
        part: int64 [listeners, rows], place in `DAYPARTS`, -1 where dayparts tell nothing apart.
        place: int64 [listeners, rows], place in `where`, -1 where there is no such context.
        share: float64 [listeners, rows].
        of_place: int64 by place of `Occasions.where`, place in `where`.
        where: device_id, platform, context, as far as the settings look.
    """

    part: np.ndarray
    place: np.ndarray
    share: np.ndarray
    of_place: np.ndarray
    where: pl.DataFrame

    @cached_property
    def places(self) -> list[tuple[str | None, str | None, str | None]]:
        """The rows of `where`."""
        return self.where.rows()  # type: ignore[return-value]

    def of(self, listener: int, row: int) -> Next | None:
        """A listener's context; None where there are fewer."""
        place, part = int(self.place[listener, row]), int(self.part[listener, row])
        if place < 0:
            return None
        device_id, platform, context = self.places[place]
        share = float(self.share[listener, row])
        return Next(DAYPARTS[part] if part >= 0 else None, device_id, platform, context, share)


def likely(occasions: Occasions, weekend: np.ndarray, settings: NextSessionSettings, rows: int) -> Likely:
    """The likeliest contexts of each listener, most likely first; among equals the hash of what they are decides.

    Args:
        occasions: sessions lately.
        weekend: bool by listener, whether the day that begins is one of a weekend.
        rows: contexts of a listener at most.
    """
    of_place, where = _places(occasions.where, settings)
    n = len(weekend)
    part = occasions.part.astype(np.int64) if "daypart" in settings.by else np.full(len(occasions.part), -1)
    listener = occasions.listener.astype(np.int64)
    same = weekend[listener] == occasions.weekend
    weight = occasions.weight.astype(np.float64) * np.where(same, 1.0, OTHER_DAY)
    cells = (len(DAYPARTS) + 1) * max(where.height, 1)
    key = listener * cells + of_place[occasions.place] * (len(DAYPARTS) + 1) + part + 1
    found, at = np.unique(key, return_inverse=True)
    mass = np.bincount(at, weight, len(found))
    who, cell = np.divmod(found, cells)
    whole = np.bincount(listener, weight, n)
    share = mass / np.where(whole > 0, whole, 1)[who]
    # places stand in the order of their hash, so equal shares fall as that says
    order = np.lexsort((cell, -share, who))
    nth = np.arange(len(order)) - np.searchsorted(who[order], who[order])
    keep = order[(nth < rows) & (share[order] >= settings.least_share) & (share[order] > 0)]
    nth = np.arange(len(keep)) - np.searchsorted(who[keep], who[keep])
    out = (np.full((n, rows), -1), np.full((n, rows), -1), np.zeros((n, rows)))
    place, slot = np.divmod(cell[keep], len(DAYPARTS) + 1)
    for into, values in zip(out, (slot - 1, place, share[keep]), strict=True):
        into[who[keep], nth] = values
    return Likely(*out, of_place, where)


def _places(where: pl.DataFrame, settings: NextSessionSettings) -> tuple[np.ndarray, pl.DataFrame]:
    """Of each place where sessions were had the one that the settings tell it apart by, and those, by hash."""
    read = {name for one in settings.by for name in _READS.get(one, ())}
    blind = where.with_columns(pl.lit(None, dtype=pl.String).alias(name) for name in where.columns if name not in read)
    place, found = places(blind)
    return place.to_numpy().astype(np.int64), found
