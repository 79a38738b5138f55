"""What each model took: training, and the scoring of the sources that read it, from the parts that jobs clocked.

A job's record holds seconds, processor seconds and rows of its parts (`transforms.common.clock`): models in `train`, the
ranker in `train_ranker`, `source <name>` and the stages after retrieval in `score`. Of jobs that ran more than once, those of the
newest date are told. Scoring is summed over blocks, and over workers where there were several; its rows are listeners of
a source, candidates of the features and the ranker.

    >>> jobs = [Job("train", "2026-01-31", 9.0, 0.0, 0, 0, 0.0, parts={"neighbours": {"seconds": 2.0, "rows": 50}}),
    ...         Job("score", "2026-01-31", 9.0, 0.0, 0, 0, 0.0, parts={"source co_sessions": {"seconds": 1.0, "rows": 8}})]
    >>> [(r.name, r.training.seconds, r.scoring.seconds, r.sources) for r in table(jobs, {'neighbours': ['co_sessions']})]
    [('neighbours', 2.0, 1.0, ('co_sessions',))]
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from transforms.reporting.facts import Job

SOURCE = "source "


@dataclass(frozen=True)
class Took:
    """Sums of a model's parts; `cpu_seconds` counts all threads of the process meanwhile."""

    seconds: float
    cpu_seconds: float
    rows: int


@dataclass(frozen=True)
class Row:
    """A model or source, a stage of scoring, or a step of training: None where it has no such part."""

    name: str
    training: Took | None
    scoring: Took | None
    sources: tuple[str, ...] = ()


def table(jobs: Sequence[Job], read_by: Mapping[str, Sequence[str]]) -> list[Row]:
    """A row a model: what was trained first, then sources that nothing is trained for, then the stages of scoring.

    Args:
        jobs: of the warehouse.
        read_by: model -> the sources that read it.
    """
    trained = {**_parts(jobs, "train"), **_parts(jobs, "train_ranker")}
    scored = _parts(jobs, "score")
    by_model = {source: model for model, sources in read_by.items() for source in sources if model in trained}
    of: dict[str, list[str]] = {}
    for part in scored:
        name = part.removeprefix(SOURCE)
        of.setdefault(by_model.get(name, name) if part.startswith(SOURCE) else name, []).append(part)
    names = [*trained, *(n for n in of if n not in trained)]
    stages = [n for n in names if of.get(n) == [n] and n not in trained]
    return [
        Row(
            name,
            _sum([trained[name]]) if name in trained else None,
            _sum([scored[part] for part in of[name]]) if name in of else None,
            tuple(p.removeprefix(SOURCE) for p in of.get(name, ()) if p.removeprefix(SOURCE) != name),
        )
        for name in [*(n for n in names if n not in stages), *stages]
    ]


def _parts(jobs: Sequence[Job], name: str) -> Mapping[str, Mapping[str, float]]:
    """The parts of the newest job of a name that told any."""
    with_parts = [job for job in jobs if job.name == name and job.parts]
    return max(with_parts, key=lambda job: job.dates).parts if with_parts else {}


def _sum(parts: Sequence[Mapping[str, float]]) -> Took:
    """Times added up; the rows of the largest part, since each source reads the same listeners."""
    return Took(
        sum(p.get("seconds", 0.0) for p in parts),
        sum(p.get("cpu_seconds", 0.0) for p in parts),
        int(max(p.get("rows", 0) for p in parts)),
    )
