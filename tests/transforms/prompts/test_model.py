"""A language model behind the one door: checked, grounded, overruled, retried, budgeted; a real server on loopback answers."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.ml.inference.base import ModelHandler, PredictionResult
from apache_beam.testing.util import assert_that, equal_to

from tests.transforms.prompts.tiny import vocabulary
from transforms.common.errors import UserError
from transforms.prompts.asking import AskModel, answer_text, handler_of
from transforms.prompts.chat import NoAnswer, ask
from transforms.prompts.intent import Intent
from transforms.prompts.parser import read
from transforms.prompts.reading import checked, grounded, merged
from transforms.prompts.server import ModelServer

VOCABULARY = vocabulary()
SECRET = "wistful xylophone"


def both(text: str, answer: str) -> Intent:
    """What rules and a model's answer make together."""
    reading = checked(answer)
    rules = read(text, VOCABULARY)
    return rules if reading is None else merged(rules, grounded(reading, text, VOCABULARY))


@pytest.mark.parametrize(
    "answer",
    [
        "",
        "I like jazz too!",
        "{",
        '{"genres": 5}',
        '{"genres": [["a"]]}',
        "[1, 2]",
        '{"a": ' * 3000,
        "x" * 30_000,
        "null",
    ],
)
def test_an_answer_that_is_not_of_the_schema_is_no_answer(answer: str) -> None:
    assert checked(answer) is None
    assert both("sad rock", answer) == read("sad rock", VOCABULARY)


def test_the_object_is_found_in_what_models_write_around_it() -> None:
    found = checked('Sure! Here it is:\n```json\n{"genres": "rock", "moods": null, "mood_score": 7}\n```')
    assert found is not None
    assert (found.genres, found.moods) == (("rock",), ())


def test_what_is_not_in_the_text_is_dropped_and_what_is_gets_the_catalogs_ids() -> None:
    made = both("zany stuff in the manner of Radiohed", '{"like": ["Radiohead", "Muse"], "moods": ["zany", "sad"]}')
    assert [(n.text, n.ids) for n in made.like] == [("radiohead", ("radiohead",))]
    assert [t.text for t in made.tags] == ["zany"]


def test_rules_overrule_the_model() -> None:
    # the model turns a negation round, and makes up years and a length, which nobody asks it for
    made = both(
        "rock without Drake, 20 minutes", '{"artists": ["drake"], "genres": ["rock"], "minutes": 90, "years": [1990]}'
    )
    assert (made.artists, made.minutes, made.years) == ((), 20.0, ())
    assert [n.text for n in made.without_artists] == ["drake"]
    assert [t.text for t in made.tags] == ["rock"]


def test_words_that_only_stand_around_a_request_are_nothing() -> None:
    assert both("play me some music", '{"genres": ["music"], "like": ["me"]}') == Intent()


class Server:
    """Answers in turn: a string is the content, a number a status, a float seconds to wait first, None bytes that are no JSON."""

    def __init__(self, *script: Any) -> None:
        self.script, self.seen, self.lock = list(script), list[dict](), threading.Lock()
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                with server.lock:
                    server.seen.append({**body, "key": self.headers.get("Authorization")})
                    step = server.script.pop(0) if len(server.script) > 1 else server.script[0]
                if isinstance(step, float):
                    time.sleep(step)
                    step = "{}"
                status = step if isinstance(step, int) else 200
                out = b"<html>" if step is None else json.dumps({"choices": [{"message": {"content": step}}]}).encode()
                try:
                    self.send_response(status)
                    self.end_headers()
                    self.wfile.write(out)
                except OSError:
                    pass  # whoever asked has gone

            def log_message(self, *_: Any) -> None:
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._http.server_port}/v1/chat/completions"
        threading.Thread(target=self._http.serve_forever, daemon=True).start()

    def settings(self, **more: Any) -> ModelServer:
        return ModelServer(url=self.url, name="small", wait_seconds=0, **more)

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()


@pytest.fixture
def servers() -> Iterator[list[Server]]:
    made: list[Server] = []
    yield made
    for one in made:
        one.close()


def test_a_server_is_asked_with_the_text_and_its_key(servers: list[Server], monkeypatch: pytest.MonkeyPatch) -> None:
    servers.append(Server('{"genres": ["rock"]}'))
    monkeypatch.setenv("A_KEY", "open")
    assert ask("sad rock", servers[0].settings(key_variable="A_KEY")) == '{"genres": ["rock"]}'
    (seen,) = servers[0].seen
    assert (seen["model"], seen["temperature"], seen["key"]) == ("small", 0, "Bearer open")
    assert "sad rock" in seen["messages"][-1]["content"]


def test_what_may_pass_is_asked_again_and_what_may_not_is_not(servers: list[Server]) -> None:
    servers += [Server(503, 429, "{}"), Server(401), Server(None), Server(500)]
    assert ask("rock", servers[0].settings(retries=2)) == "{}"
    for server, says, times in (
        (servers[1], "status 401", 1),
        (servers[2], "another form", 1),
        (servers[3], "status 500", 3),
    ):
        with pytest.raises(NoAnswer, match=says):
            ask(SECRET, server.settings(retries=2))
        assert len(server.seen) == times


def test_a_slow_or_absent_server_is_given_up_and_the_text_is_in_no_error(servers: list[Server]) -> None:
    servers.append(Server(0.5))
    with pytest.raises(NoAnswer) as slow:
        ask(SECRET, servers[0].settings(timeout_seconds=0.1, retries=0))
    with pytest.raises(NoAnswer) as absent:
        ask(SECRET, ModelServer(url="http://127.0.0.1:9/none", retries=0))
    assert SECRET not in str(slow.value) + str(absent.value)


def test_through_beam_each_text_is_asked_once_within_budget_and_a_failure_is_no_answer(
    servers: list[Server], caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    servers.append(Server('{"moods": ["sad"]}'))
    texts = [("h1", "sad rock"), ("h1", "sad rock"), ("h2", f"{SECRET} songs"), ("h3", "beyond the budget")]
    with beam.Pipeline(runner="FnApiRunner") as root:
        made = root | beam.Create(texts) | AskModel(servers[0].settings(requests=2))
        assert_that(made, equal_to([("h1", '{"moods": ["sad"]}'), ("h2", '{"moods": ["sad"]}')]))
    assert len(servers[0].seen) == 2
    servers.append(Server(401))
    with beam.Pipeline(runner="FnApiRunner") as root:
        assert_that(root | beam.Create(texts) | AskModel(servers[1].settings()), equal_to([]))
    server = capfd.readouterr()
    assert SECRET not in caplog.text + server.out + server.err


class Canned(ModelHandler[str, PredictionResult, None]):
    """Any handler of Beam's will do whose examples are texts."""

    def load_model(self) -> None:
        return None

    def run_inference(self, batch: Any, model: None, inference_args: Any = None) -> Any:
        return [PredictionResult(text, {"choices": [{"message": {"content": text.upper()}}]}) for text in batch]


def test_any_model_handler_fills_the_door() -> None:
    with beam.Pipeline(runner="FnApiRunner") as root:
        made = root | beam.Create([("h1", "rock")]) | AskModel(ModelServer(handler="canned"), Canned())
        assert_that(made, equal_to([("h1", "ROCK")]))


def test_a_handler_that_is_not_installed_is_named() -> None:
    with pytest.raises(UserError, match="found 'mine'"):
        handler_of(ModelServer(handler="mine"))


def test_the_text_of_every_form_of_prediction_is_found() -> None:
    assert answer_text(PredictionResult("x", "{}")) == "{}"
    assert answer_text([{"generated_text": "{}"}]) == "{}"
    assert answer_text(object()) == ""
