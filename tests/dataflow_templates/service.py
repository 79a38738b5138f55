"""The service as the workflow sees it: launches are noted (or done by `run`), jobs run for one look and end as told."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.dataflow_templates.interpreter import Call, Map


@dataclass
class Service:
    """Attributes:
    fails: by template, how many of its first jobs fail.
    cancelled: templates whose jobs somebody cancels.
    run: does what a launcher does, and says whether the job failed; None = only noted.
    """

    fails: Mapping[str, int] = field(default_factory=dict)
    cancelled: frozenset[str] | set[str] = frozenset()
    run: Callable[[str, Mapping[str, str]], bool] | None = None
    launched: list[dict[str, Any]] = field(default_factory=list)
    noted: list[dict[str, Any]] = field(default_factory=list)
    most_at_once: int = 0
    _states: dict[str, list[str]] = field(default_factory=dict)

    @property
    def calls(self) -> dict[str, Call]:
        return {
            "http.post": self._launch,
            "http.get": self._look,
            "sys.sleep": lambda seconds: None,
            "sys.log": lambda **given: self.noted.append(given),
        }

    def _launch(self, url: str, auth: Mapping[str, str], body: dict[str, Any]) -> Map:
        assert url == "https://dataflow.googleapis.com/v1b3/projects/music/locations/europe-west1/flexTemplates:launch"
        assert auth == {"type": "OAuth2"}
        given = body["launchParameter"]
        template = given["containerSpecGcsPath"].rpartition("/")[2].removesuffix(".json")
        earlier = sum(j["template"] == template for j in self.launched)
        self.launched.append({"template": template, "parameters": given["parameters"], "request": body})
        broken = self.run is not None and self.run(template, given["parameters"])
        end = "FAILED" if broken or earlier < self.fails.get(template, 0) else "DONE"
        end = "CANCELLED" if template in self.cancelled else end
        job = f"job-{len(self.launched)}"
        self._states[job] = ["JOB_STATE_QUEUED", "JOB_STATE_RUNNING", f"JOB_STATE_{end}"]
        self.most_at_once = max(self.most_at_once, sum(len(left) > 1 for left in self._states.values()))
        return Map({"body": {"job": {"id": job}}})

    def _look(self, url: str, auth: Mapping[str, str]) -> Map:
        job = url.rpartition("/jobs/")[2]
        left = self._states[job]
        state = left.pop(0) if len(left) > 1 else left[0]
        return Map({"body": {"id": job, "currentState": state}})
