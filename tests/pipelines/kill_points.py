"""Where a night is killed: (files whose finished write the process does not live to see, which one of them, what it is).

In the order of the night, for `killer`: each kill starts where the one before left off.
"""

from __future__ import annotations

from tests.pipelines.world import NIGHT

TWENTY = [
    ("sessions/*.parquet", 2, "features: a file of sessions"),
    ("co_listens/*.parquet", 3, "features: half of the files"),
    ("sessions/*/_current.json", 1, "features: all files, nothing current"),
    ("track_stats/*/_current.json", 1, "features: sessions of one date current"),
    ("co_listens/*/_current.json", 2, "features: some tables current, others not"),
    (f"library/date={NIGHT}/_current.json", 1, "features: all but the last"),
    ("outcomes/*.parquet", 1, "outcomes: no file"),
    ("outcomes/*/_current.json", 1, "outcomes: all files, nothing current"),
    ("models/*/saved_model/*", 2, "models: half a model"),
    ("track_embeddings/*.parquet", 2, "models: a whole model, half of its embeddings"),
    ("track_embeddings/*/_current.json", 1, "models: all files, nothing current"),
    ("models/*/_current.json", 1, "models: embeddings current, the model not"),
    ("rankers/*/_manifest.json", 1, "ranker: all files, no manifest"),
    ("rankers/*/_current.json", 1, "ranker: not current"),
    ("candidates/*.parquet", 1, "score: no file of candidates"),
    ("shelves/*.parquet", 2, "score: shelves of half the listeners"),
    ("candidates/*/_current.json", 1, "score: judged, nothing current"),
    ("draws/*/_current.json", 1, "score: candidates current, what follows from them not"),
    ("shelves/*/_current.json", 1, "score: all but the shelves"),
    ("runs/*", 1, "score: everything current, the record of the job not there"),
]
# One a job, and the last two steps, of a night without what TensorFlow exports: what the tests have time for.
FIVE = [TWENTY[3], ("models/*.npz", 3, "models: half a model"), *(TWENTY[n] for n in (12, 17, 19))]
