"""How the blends of a night are made locally: a step of `pipelines.nightly`, after its shelves."""

from __future__ import annotations

from pipelines.runtime.progress import stage
from pipelines.runtime.schedule import Night
from transforms.tables.as_of import as_of


def make_blends(night: Night) -> None:
    """Make the groups' shelves, where anybody has asked for one."""
    if not as_of(night.url, night.day).every("blends"):
        return
    from pipelines.blend import blend

    with stage(f"blends {night.day}", makes=True) as at:
        blend(night.url, night.day, settings=night.settings, beam_args=night.beam_args)
        at.rows(night.warehouse.need("blend_shelves", night.day).rows)
