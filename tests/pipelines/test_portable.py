"""The jobs of a night on the portable job service with fresh worker processes: nothing leans on the launching process."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import apache_beam as beam
import pytest
from apache_beam.coders import coders

from pipelines import features, ingest, outcomes, score, train, train_ranker
from pipelines.nightly import night
from pipelines.runtime import jobs
from tests.pipelines.world import LIGHT, NIGHT, World, hashes, ingested, manifests, without
from tests.portable import portable_args
from transforms.tables.beam import ChunkCoder
from transforms.tables.warehouse import Warehouse

GROUP_BY_KEY = "beam:transform:group_by_key:v1"
KEYS = (coders.VarIntCoder, coders.StrUtf8Coder)


def test_fresh_workers_make_the_tables_of_the_local_runner(light, tmp_path):
    """Ingest, features, outcomes, train, ranker and score, each in a worker process that has only the installed package.

    The models make no difference to the graphs; those of TensorFlow are fitted in such workers by `make flink`.
    """
    with portable_args(tmp_path) as args:
        fresh = ingested(light.log, tmp_path / "ingested", beam_args=tuple(args))
        warehouse = World.copy(light.made, tmp_path / "made")
        without(warehouse, NIGHT)
        assert f"shelves@{NIGHT}" not in manifests(warehouse)
        night(warehouse.url, NIGHT, LIGHT, beam_args=args)
    log = (tmp_path / "portable.log").read_text()
    assert log.count("Starting worker with command") >= 6  # one a job, and one more where a step asks for memory
    assert hashes(fresh) == hashes(Warehouse(str(light.ingested)))
    assert {k: m.version for k, m in manifests(warehouse).items()} == {
        k: m.version for k, m in manifests(light.warehouse).items()
    }
    made, local = hashes(warehouse), hashes(light.warehouse)
    assert [key for key in local if made[key] != local[key]] == []


class Built(Exception):
    """Raised instead of running a job, once its graph is built."""


def graph(monkeypatch: pytest.MonkeyPatch, module: object, call: Callable[[], object]) -> beam.Pipeline:
    """The pipeline a job would run."""
    found: list[beam.Pipeline] = []

    def build(job: str, warehouse: Warehouse, define: Callable[[beam.Pipeline], None], *_: object) -> None:
        root = beam.Pipeline(argv=list(jobs.LOCAL))
        define(root)
        found.append(root)
        raise Built

    monkeypatch.setattr(module, "launch", build)
    with suppress(Built):
        call()
    return found[0]


def grouped(pipeline: beam.Pipeline) -> dict[str, coders.Coder]:
    """Name of each grouping and the coder of its input."""
    proto, context = pipeline.to_runner_api(return_context=True)
    parts = proto.components
    return {
        t.unique_name: context.coders.get_by_id(parts.pcollections[next(iter(t.inputs.values()))].coder_id)
        for t in parts.transforms.values()
        if t.spec.urn == GROUP_BY_KEY
    }


def test_no_key_is_pickled(light, tmp_path, monkeypatch):
    """Keys are int or str; what is grouped by them is Arrow bytes."""
    warehouse = World.copy(light.made, tmp_path / "made")
    other = LIGHT.model_copy(update={"seed": 1, "co_listens": LIGHT.co_listens.model_copy(update={"cap": 3})})
    wider = LIGHT.model_copy(update={"shards": 4})
    pipelines = {
        "ingest": graph(monkeypatch, ingest, lambda: ingested(light.log, tmp_path / "empty")),
        "features": graph(monkeypatch, features, lambda: features.features(warehouse.url, NIGHT, NIGHT, other)),
        "train": graph(monkeypatch, train, lambda: train.train(warehouse.url, NIGHT, settings=other)),
        "ranker": graph(
            monkeypatch,
            train_ranker,
            lambda: train_ranker.train_ranker(warehouse.url, NIGHT, settings=other, horizon=3),
        ),
        "score": graph(monkeypatch, score, lambda: score.score(warehouse.url, NIGHT, settings=other)),
        "outcomes": graph(
            monkeypatch, outcomes, lambda: outcomes.outcomes(warehouse.url, NIGHT, settings=wider, horizons=(3,))
        ),
    }
    found = {f"{job}: {name}": coder for job, p in pipelines.items() for name, coder in grouped(p).items()}
    ours = {name: coder for name, coder in found.items() if "Spread" not in name}
    assert sorted(name.split("/")[0] for name in ours) == [
        "features: By track",
        "ingest: By shard",
        "ingest: Listeners by shard",
        "ingest: Rejects by shard",
    ]
    assert len(found) >= len(ours) + 4  # the others spread specs over workers by a number
    for name, coder in found.items():
        assert isinstance(coder.key_coder(), KEYS), name
    for name, coder in ours.items():
        assert isinstance(coder.value_coder(), (coders.BytesCoder, ChunkCoder)), name


def test_a_pickled_key_is_seen(tmp_path: Path):
    """The check above is able to fail."""
    root = beam.Pipeline(argv=list(jobs.LOCAL))
    _ = root | beam.Create([(("a", 1), b"x")]) | beam.GroupByKey()
    (coder,) = grouped(root).values()
    assert not isinstance(coder.key_coder(), KEYS)
