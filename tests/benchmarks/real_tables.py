"""The lines of real_data.py and cold_start.py as Markdown tables.

{"kind": "result", "cut": "0.8-1", "model": "ranker", "ndcg@50": [.08, .07, .09], ...}
  -> | ranker | .0800 (.0700 to .0900) | ... |
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

METRICS = ("ndcg@50", "recall@50", "hit@10")
Line = dict[str, Any]


def table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in row) + " |" for row in lines)


def figure(value: object) -> str:
    """A number, or a value with its interval.

    >>> figure([0.0775, 0.07, 0.085]), figure(-0.0012)
    ('.0775 (.0700 to .0850)', '-.0012')
    """
    if isinstance(value, list) and len(value) == 3:
        return f"{figure(value[0])} ({figure(value[1])} to {figure(value[2])})"
    if isinstance(value, int | float):
        return f"{value:.4f}".replace("0.", ".", 1) if abs(value) < 1 else f"{value:,.4g}"
    return "" if value is None else str(value)


def markdown(lines: Sequence[Line]) -> str:
    """All tables of a run, a section a set and cut."""
    out = []
    for name, cut in dict.fromkeys((x["set"], x["cut"]) for x in lines):
        here = [x for x in lines if (x["set"], x["cut"]) == (name, cut)]
        out += [f"### {name}, {cut}", *_section(here)]
    return "\n\n".join(out)


def _section(here: Sequence[Line]) -> list[str]:
    def of(kind: str) -> list[Line]:
        return [x for x in here if x["kind"] == kind]

    out = []
    for x in of("split"):
        facts = [(k.replace("_", " "), v if isinstance(v, str) else f"{v:,}") for k, v in x.items()]
        out.append(table(("what", "value"), [f for f in facts if f[0] not in ("kind", "set", "cut")]))
    results = sorted(of("result"), key=lambda x: -x["ndcg@50"][0])
    if results:
        rows = [
            (
                x["model"],
                *(figure(x[m]) for m in METRICS),
                figure(x.get("ranker minus it, ndcg@50")),
                figure(x.get("ndcg_ratio")),
            )
            for x in results
        ]
        header = ("model", "NDCG@50", "Recall@50", "HR@10", "ranker minus it, NDCG@50", "ranker / it")
        out.append(f"n = {results[0]['n']} listeners\n\n" + table(header, rows))
    if of("tuned"):
        rows = [
            (x["model"], label, figure(gain), _chosen(x) if label == x["chosen"] else "")
            for x in of("tuned")
            for label, gain in x["grid"].items()
        ]
        out.append(table(("peer", "variant", "NDCG@50", "chosen"), rows))
    for key, title in (
        ("ndcg_by_history", "NDCG@50 by plays"),
        ("recall_by_track_listeners", "Recall@50 by listeners"),
    ):
        found = of("segments")
        names = list(dict.fromkeys(s for x in found for s in x[key]))
        if names:
            rows = [(x["model"], *(_cell(x[key].get(s)) for s in names)) for x in found]
            out.append(table((title, *names), rows))
    if of("evaluation"):
        rows = [(x["target"], x["model"], x["n"], *(figure(x.get(m)) for m in METRICS)) for x in of("evaluation")]
        out.append(table(("target", "model", "n", "NDCG@50", "Recall@50", "HR@10"), rows))
    if of("stage"):
        rows = [(x["job"], x["date"] or "", x["seconds"], x["peak_mb"]) for x in of("stage")]
        out.append(table(("job", "night", "seconds", "peak MB so far"), rows))
    for x in of("ranker"):
        rows = [(k, v) for k, v in (x["chosen"] or {}).items()]
        out.append(table(("ranker on the last stored night", "value"), rows))
    return out


def _chosen(line: Line) -> str:
    return "at an open edge" if line.get("at_an_edge") else "yes"


def _cell(value: object) -> str:
    if isinstance(value, list):
        return f"{figure(value[1])} (n {value[0]})"
    return figure(value)


def cold_markdown(lines: Sequence[Line]) -> str:
    """A table a part of cold_start.py: a row a model, a column for how much was kept."""
    out = []
    for name, part in dict.fromkeys((x["set"], x["part"]) for x in lines):
        here = [x for x in lines if (x["set"], x["part"]) == (name, part)]
        kept = list(dict.fromkeys(x["kept"] for x in here))
        rows = []
        for target, model in dict.fromkeys((x["target"], x["model"]) for x in here):
            cells = {x["kept"]: x for x in here if (x["target"], x["model"]) == (target, model)}
            rows.append((target, model, *(_cold_cell(cells.get(k)) for k in kept)))
        title = f"### {name}, {here[0]['cut']}: {part}, {here[0]['metric']} and its gap to popularity"
        out.append(f"{title}\n\n{table(('target', 'model', *(f'{k} kept' for k in kept)), rows)}")
    return "\n\n".join(out)


def _cold_cell(line: Line | None) -> str:
    if line is None:
        return ""
    gap = f" [{figure(line['gap'])}]" if "gap" in line else ""
    return f"{figure(line['value'][0])}{gap}"
