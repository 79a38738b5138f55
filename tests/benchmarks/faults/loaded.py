"""What the fork server loads: what takes long to load and starts no pool of threads. Polars' own, once begun, dies in a fork."""

from __future__ import annotations

import apache_beam
import numba
import polars
import pyarrow.parquet

import pipelines.runtime.jobs
import transforms.tables.warehouse

__all__ = ["apache_beam", "numba", "pipelines", "polars", "pyarrow", "transforms"]
