"""How the prompts of a night are answered locally: a step of `pipelines.nightly`, after its shelves."""

from __future__ import annotations

from pipelines.runtime.progress import stage
from pipelines.runtime.schedule import Night


def answer_prompts(night: Night) -> None:
    """Answer what was asked that day, where anybody asked."""
    if night.warehouse.current("prompts", night.day) is None:
        return
    from pipelines.prompt import prompt

    with stage(f"prompts {night.day}", makes=True) as at:
        prompt(night.url, night.day, settings=night.settings, beam_args=night.beam_args)
        at.rows(night.warehouse.need("playlists", night.day).rows)
