"""The benchmark of next tracks in sessions: its metrics by hand, and one small run."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from scipy import sparse

from tests.benchmarks.next_in_session import logs, main, ranks, read, target_is_new, without
from tests.benchmarks.session_splits import of_events, of_listeners
from tests.models.rankers.test_session import albums
from transforms.common.errors import UserError
from transforms.next_in_session.sessions import SessionLog


def test_ranks_count_ties_as_half_and_miss_what_has_no_score() -> None:
    scores = sparse.csr_matrix(np.array([[0, 3.0, 2.0, 2.0], [0, 1.0, 0, 0], [0, 0, 0, 0]]))
    assert ranks(scores, np.array([3, 2, 1])).tolist() == [2.5, np.inf, np.inf]


def test_tracks_of_the_prefix_are_left_out() -> None:
    prefixes = SessionLog.from_lists([[1, 2, 1]]).prefixes()
    scores = sparse.csr_matrix(np.array([[0, 3.0, 2.0], [0, 3.0, 2.0]]))
    assert without(scores, prefixes).toarray().tolist() == [[0, 0, 2.0], [0, 0, 0]]
    assert target_is_new(prefixes).tolist() == [True, False]


def test_commas_and_spaces_separate_and_unknown_tracks_are_left_out_of_the_test(tmp_path: Path) -> None:
    (tmp_path / "train").write_text("a,b\nb a c\n\n")
    (tmp_path / "test").write_text("a x b\nx\n")
    train, test, n_items, unknown = logs(read(str(tmp_path / "train")), read(str(tmp_path / "test")))
    assert (len(train), n_items, unknown, len(test.prefixes())) == (2, 4, 2, 1)


def test_an_empty_file_is_said_to_be_empty(tmp_path: Path) -> None:
    (tmp_path / "train").write_text("\n")
    with pytest.raises(UserError, match="holds no session"):
        read(str(tmp_path / "train"))


def test_what_stands_inside_an_id_does_not_cut_it_and_separators_alone_are_no_session(tmp_path: Path) -> None:
    (tmp_path / "train").write_bytes(
        ",a,,b ,\r\n , \n\n\xff\xe9 na\u2028me\n".encode("utf-8", "surrogatepass") + b"\xff \xfe"
    )
    assert read(str(tmp_path / "train")) == [["a", "b"], ["\xff\xe9", "na\u2028me"], ["\\xff", "\\xfe"]]
    with pytest.raises(UserError, match="cannot be read"):
        read(str(tmp_path / "none"))


@pytest.mark.parametrize(
    ("train", "test"),
    [
        ("a\nb\nc\n", "a\nb\n"),
        ("a b\n", "x y z\n"),
        ("a b\n", "a b a\n"),
        ("a b c\n" * 3, "a b\n\n,\na"),
        ("a b " * 4000 + "\nb a\n" * 9, "b a b\n" + "a b " * 200),
    ],
    ids=["one track each", "nothing known", "one session", "short", "a huge line"],
)
def test_poor_files_have_an_answer(tmp_path: Path, capsys: pytest.CaptureFixture[str], train: str, test: str) -> None:
    (tmp_path / "train").write_text(train)
    (tmp_path / "test").write_text(test)
    main(["--train", str(tmp_path / "train"), "--test", str(tmp_path / "test"), "--validate", "0.2"])
    (line,) = capsys.readouterr().out.splitlines()
    found = json.loads(line)["ours"]["all"]
    assert all(np.isfinite(found[name]).all() for name in ("p@20", "mrr@20"))


def test_a_small_run_prints_one_line_with_every_method(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, log in (("train", albums(200)), ("test", albums(30, seed=1))):
        lines = [" ".join(f"t{i}" for i in s) for s in np.split(log.items, log.starts[1:-1])]
        (tmp_path / name).write_text("\n".join(lines))
    paths = ["--train", str(tmp_path / "train"), "--test", str(tmp_path / "test")]
    main([*paths, "--validate", "0.2", "--set", "prefixes=200", "neighbours.kept=50"])
    (line,) = capsys.readouterr().out.splitlines()
    found = json.loads(line)
    methods = {
        "ours",
        "neighbours_two_first",
        "neighbours_plain",
        "last_track_rules",
        "bigrams",
        "item_knn",
        "popularity",
    }
    assert set(found) == methods | {"ours_minus", "sizes", "seconds", "settings", "weights"}
    for name in methods:
        assert set(found[name]) == {"all", "excluded", "excluded_new"}
        assert found[name]["all"]["p@20"][1] <= found[name]["all"]["p@20"][0] <= found[name]["all"]["p@20"][2]
    assert found["sizes"]["train_sessions"] == 200
    assert found["ours"]["all"]["mrr@20"][0] > 50 > found["popularity"]["all"]["mrr@20"][0]


def test_the_last_fifth_of_a_listener_is_the_test_and_sessions_with_fewer_left_come_later() -> None:
    lines = [f"ann,a{i}" for i in range(5)] + ["bob,b0", "bob,b1"]
    train, test = of_listeners(lines)
    assert [s[0] for s in train] == ["a0", "a1", "a2", "a3", "b0", "b1"]
    assert test == [["a4"]]


def test_the_last_days_of_the_last_slice_are_the_test() -> None:
    day = 86_400
    rows = [("0", "1", 9 * day, "x"), ("1", "2", 5 * day, "y"), ("1", "3", 9 * day, "z"), ("1", "3", 9 * day - 5, "w")]
    keys = ("Slice", "SessionId", "Time", "ItemId")
    train, test = of_events([dict(zip(keys, map(str, row), strict=True)) for row in rows], 2)
    assert (train, test) == ([["y"], ["x"]], [["w", "z"]])
