"""Imported by every worker as it starts: Beam's loggers there quote no error's text either."""

from __future__ import annotations

from apache_beam.utils.plugin import BeamPlugin

from pipelines.runtime.logs import quiet


class Quiet(BeamPlugin):
    """Named in each job's options, because Beam has workers import the plugins a pipeline knows."""


quiet()
