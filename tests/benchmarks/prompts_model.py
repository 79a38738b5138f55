"""A small language model on loopback, for real: intent quality with it beside the parser alone.

    make llm        # a server with SmolLM2-135M in an environment of its own, then this
    python -m tests.benchmarks.prompts_model --url http://127.0.0.1:18177/v1/chat/completions --data DIR --requests 40

The model is weak, so what is measured is the door: how many answers are of the schema, how much of them stands in the text, and
what of precision and recall changes on held-out requests of music-reco-intent when rules overrule it.
"""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path

from tests.benchmarks.prompts_data import vocabulary_of
from tests.benchmarks.prompts_parser import KINDS, Count, Phrase, matched, requests
from transforms.prompts.chat import NoAnswer, ask
from transforms.prompts.intent import NAMES, TERMS, Intent
from transforms.prompts.parser import read
from transforms.prompts.reading import Reading, checked, grounded, merged
from transforms.prompts.server import ModelServer


def phrases(intent: Intent) -> list[Phrase]:
    """Names and terms of an intent."""
    names = [Phrase(n.text, "name") for f in NAMES for n in getattr(intent, f)]
    return [*names, *(Phrase(t.text, "tag") for f in TERMS for t in getattr(intent, f))]


def said(reading: Reading) -> int:
    """How many words and names a reading holds."""
    return sum(len(getattr(reading, f)) for f in Reading.model_fields)


def main() -> None:
    """Ask, and print what came of it."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--url", required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--requests", type=int, default=40)
    o = parser.parse_args()
    vocabulary, server = vocabulary_of(o.data), ModelServer(url=o.url, name="small", timeout_seconds=120, retries=0)
    seen = Counter[str]()
    counts = {(how, kind): Count() for how in ("rules", "rules and model") for kind in ("name", "tag")}
    for text, gold in requests(o.data, held_out=True)[: o.requests]:
        rules = read(text, vocabulary)
        both = rules
        try:
            reading = checked(ask(text, server))
            seen["answered"] += 1
        except NoAnswer:
            reading = None
        if reading is not None:
            kept = grounded(reading, text, vocabulary)
            both = merged(rules, kept)
            seen["of the schema"] += 1
            seen["words said"] += said(reading)
            seen["of them in the text"] += len(phrases(kept))
            seen["added to the rules"] += len(phrases(both)) - len(phrases(rules))
        for how, intent in (("rules", rules), ("rules and model", both)):
            for kind in ("name", "tag"):
                wanted = [
                    g for g in gold if (g.kind == "name") == (kind == "name") and g.kind in ("name", *KINDS.values())
                ]
                found = [p for p in phrases(intent) if p.kind == kind]
                count = counts[how, kind]
                count.gold += len(wanted)
                count.predicted += len(found)
                count.found += sum(matched(g, found) for g in wanted)
                count.right += sum(matched(p, wanted) for p in found)
    print(f"{o.requests} requests: {dict(seen)}")
    for (how, kind), count in counts.items():
        print(f"  {how:16} {kind:5} {count}")


if __name__ == "__main__":
    main()
