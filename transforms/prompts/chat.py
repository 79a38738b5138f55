"""A language model behind a server with the common chat-completions interface, as a model handler of Beam's RunInference.

    POST <url>   {"model": ..., "messages": [{"role": "system", ...}, {"role": "user", ...}], "temperature": 0, "max_tokens": 400}
    200          {"choices": [{"message": {"content": "..."}}]}

llama.cpp, vLLM, Ollama and most hosted services speak it. A request that fails for a passing reason (a timeout, 429, 5xx) is
made again so many times; what fails then, or is refused, is an error without a word of the prompt in it, and the parser's
reading stands.
"""

from __future__ import annotations

import json
import os
import urllib.error
import urllib.request
from collections.abc import Iterable, Sequence
from typing import Any

from apache_beam.ml.inference.base import RemoteModelHandler
from apache_beam.utils import retry

from transforms.prompts.reading import instructions
from transforms.prompts.server import ModelServer

PASSING = frozenset((408, 425, 429, 500, 502, 503, 504))
LARGEST = 1 << 20


class NoAnswer(Exception):
    """A server gave no answer: what kind of failure, never the text that was asked."""

    def __init__(self, kind: str, passing: bool) -> None:
        super().__init__(kind)
        self.passing = passing

    def __reduce__(self) -> tuple[Any, ...]:
        return NoAnswer, (str(self), self.passing)


class ChatHandler(RemoteModelHandler[str, str, ModelServer]):
    """Texts of prompts -> the server's answers, one request each."""

    def __init__(self, server: ModelServer) -> None:
        super().__init__(namespace="nightshelf-prompts", num_retries=0, retry_filter=lambda error: False)
        self._server = server

    def create_client(self) -> ModelServer:
        """Nothing is kept open."""
        return self._server

    def batch_elements_kwargs(self) -> dict[str, int]:
        """One text a request, so that a failure costs no other text its answer."""
        return {"min_batch_size": 1, "max_batch_size": 1}

    def request(
        self, batch: Sequence[str], model: ModelServer, inference_args: dict[str, Any] | None = None
    ) -> Iterable[str]:
        """Answers of the texts, in order.

        Raises:
            NoAnswer: the server failed, or was too slow, for good.
        """
        return [ask(text, model) for text in batch]


def ask(text: str, server: ModelServer) -> str:
    """A server's answer to one prompt.

    Raises:
        NoAnswer: it failed as often as it may be asked.
    """
    asked = retry.with_exponential_backoff(
        num_retries=server.retries,
        initial_delay_secs=server.wait_seconds,
        retry_filter=lambda error: isinstance(error, NoAnswer) and error.passing,
        logger=lambda *_: None,  # what Beam would tell of a failure, traceback included, may quote what was asked
    )(_once)
    return str(asked(text, server))


def _once(text: str, server: ModelServer) -> str:
    messages = [{"role": "system", "content": instructions()}, {"role": "user", "content": f"Request: {text}\nAnswer:"}]
    body = {"model": server.name, "messages": messages, "temperature": 0, "max_tokens": 400}
    head = {"Content-Type": "application/json"}
    if server.key_variable:
        head["Authorization"] = f"Bearer {os.environ.get(server.key_variable, '')}"
    request = urllib.request.Request(server.url, json.dumps(body).encode(), head)  # noqa: S310 - http(s), as checked
    try:
        with urllib.request.urlopen(request, timeout=server.timeout_seconds) as response:  # noqa: S310
            answer = json.loads(response.read(LARGEST))
        return str(answer["choices"][0]["message"]["content"])
    except urllib.error.HTTPError as error:
        raise NoAnswer(f"status {error.code}", error.code in PASSING) from None
    except (urllib.error.URLError, TimeoutError, ConnectionError) as error:
        raise NoAnswer(type(error).__name__, True) from None
    except (ValueError, KeyError, IndexError, TypeError) as error:
        raise NoAnswer(f"an answer of another form ({type(error).__name__})", False) from None
