"""Changing some shelves without repeating the others: a mapping by shelf id, laid over the default shelves.

    shelves:
      shelves:
        discover-weekly: {size: 40}                           # one field of one shelf
        rediscover: {rules: {rest: {days: 90}}}               # one parameter of one rule
        popular-now: false                                    # taken out
        late-night: {title: Late night, pool: heard, before: on-repeat}      # a new one

A list instead of a mapping names all shelves, each complete. `rules` and the other mappings of `DEEP` are changed key by
key; every other field is replaced.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

DEEP = ("rules", "variety", "exploration", "new_tracks")
BEFORE = "before"


def merged(defaults: Sequence[Mapping[str, Any]], changes: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The default shelves with changes.

    Args:
        defaults: the fields of each default shelf that differ from a new shelf's, in order.
        changes: by shelf id the fields to change; false or null takes the shelf out.

    Raises:
        ValueError: a shelf that is neither changed nor new, or one that should stand before an unknown one.
    """
    out = {str(one["shelf_id"]): dict(one) for one in defaults}
    for shelf_id, change in changes.items():
        if change is None or change is False:
            if shelf_id not in out:
                raise ValueError(
                    f"shelf {shelf_id!r} is to be taken out, but is not there; there are: {', '.join(out)}"
                )
            del out[shelf_id]
            continue
        if not isinstance(change, Mapping):
            raise ValueError(f"shelf {shelf_id!r} is {change!r}; expected its fields, or false to take it out")
        fields = {"shelf_id": shelf_id, **change}
        if fields["shelf_id"] != shelf_id:
            raise ValueError(f"shelf {shelf_id!r} names itself {fields['shelf_id']!r}; leave shelf_id out")
        before = fields.pop(BEFORE, None)
        if shelf_id not in out and "title" not in fields:
            raise ValueError(
                f"shelf {shelf_id!r} is new and needs a title; the shelves that are there: {', '.join(out)}"
            )
        out[shelf_id] = _laid_over(out.get(shelf_id, {}), fields)
        if before is not None:
            out = _moved(out, shelf_id, str(before))
    return list(out.values())


def _laid_over(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    out = dict(below)
    for name, value in above.items():
        deep = name in DEEP and isinstance(value, Mapping) and isinstance(out.get(name), Mapping)
        out[name] = {**out[name], **{k: _one(out[name].get(k), v) for k, v in value.items()}} if deep else value
    return out


def _one(below: Any, above: Any) -> Any:
    return {**below, **above} if isinstance(below, Mapping) and isinstance(above, Mapping) else above


def _moved(shelves: dict[str, dict[str, Any]], shelf_id: str, before: str) -> dict[str, dict[str, Any]]:
    if before not in shelves or before == shelf_id:
        raise ValueError(f"shelf {shelf_id!r} is to stand before {before!r}, which is not there")
    rest = [name for name in shelves if name != shelf_id]
    at = rest.index(before)
    return {name: shelves[name] for name in (*rest[:at], shelf_id, *rest[at:])}
