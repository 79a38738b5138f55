"""`docs/night.md`, generated from the night's steps: `python -m pipelines.cli.night_docs > docs/night.md`."""

from __future__ import annotations

from importlib import import_module

from pipelines.cli.jobs import JOBS
from pipelines.nightly import WORKFLOW
from pipelines.runtime.schedule import Step

INTRO = """# The night

Generated from `pipelines/nightly.py` by `make docs`; a test keeps the two equal.

`nightshelf run --date D` starts the steps marked *run* in this order and skips what is current. In production the workflow
(`dataflow_templates/night/`) starts the same jobs, with the log's ingest before them and evaluation and publication after. Steps
marked *earlier* are also those of a night that is made on a fresh log for the first ranker to learn from.

| step | what it does | reads | makes | |
| --- | --- | --- | --- | --- |
"""


def row(step: Step) -> str:
    """A step's line of the table."""
    marks = ", ".join(word for word, is_so in (("run", step.start is not None), ("earlier", step.earlier)) if is_so)
    reads, makes = (", ".join(tables) for tables in (step.reads, step.makes))
    return f"| `{step.job}` | {says(step.job)} | {reads} | {makes} | {marks} |"


def says(job: str) -> str:
    """What a job does, in a sentence: of its template, or of its module where it has none."""
    if job in JOBS:
        return JOBS[job].says
    first = (import_module(f"pipelines.{job}").__doc__ or "").splitlines()[0]
    return first.partition(": ")[2].capitalize() or first


def page() -> str:
    """The whole page."""
    return INTRO + "\n".join(map(row, WORKFLOW)) + "\n"


if __name__ == "__main__":
    print(page(), end="")
