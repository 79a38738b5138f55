"""The client to BigQuery and the dataset that is published to: found, looked at, and its refusals said in a sentence."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from google.api_core.exceptions import GoogleAPICallError, NotFound
from google.cloud import bigquery

from transforms.common.errors import UserError
from transforms.tables import bigquery as bq
from transforms.tables.schema import TABLES
from transforms.tables.store_bucket import local_emulator


@dataclass(frozen=True)
class Target:
    """A dataset, the client to it, and its location."""

    client: bigquery.Client
    dataset: bq.Dataset
    location: str | None

    def get(self, name: str) -> bigquery.Table | None:
        """A table of the dataset, None where there is none."""
        try:
            return self.client.get_table(self.dataset.table(name))
        except NotFound:
            return None


def client_of(project: str) -> bigquery.Client:
    """A client with the machine's credentials; `BIGQUERY_EMULATOR_HOST` is honoured."""
    if local_emulator("BIGQUERY_EMULATOR_HOST"):
        from google.auth.credentials import AnonymousCredentials

        return bigquery.Client(project, credentials=AnonymousCredentials())
    return bigquery.Client(project)


@contextmanager
def refusals(what: str) -> Iterator[None]:
    """Turn the service's refusal into a sentence; its message may quote a row, so only its reason is kept."""
    try:
        yield
    except GoogleAPICallError as error:
        reasons = sorted({str(e.get("reason")) for e in error.errors if isinstance(e, dict) and e.get("reason")})
        reason = ", ".join(reasons) or type(error).__name__
        raise UserError(
            f"{what}: BigQuery refused ({error.code}, {reason}); the view was not replaced: look at the job in the "
            "console, mend it, and run the same command again"
        ) from None


def target(to: str, client: bigquery.Client | None) -> Target:
    """The dataset that `bigquery:PROJECT.DATASET` names.

    Raises:
        UserError: it does not exist, or cannot be looked at.
    """
    dataset = bq.destination(to)
    made = client or client_of(dataset.project)
    with refusals(to):
        try:
            found = made.get_dataset(f"{dataset.project}.{dataset.dataset}")
        except NotFound:
            name = to.removeprefix("bigquery:")
            raise UserError(f"--to: expected a dataset that exists, found no {name}; create it first") from None
    return Target(made, dataset, found.location)


def label(at: Target, run: str, keep: bool = False, **labels: str | None) -> None:
    """Set labels of a run table; `keep` takes its expiry away."""
    found = at.client.get_table(at.dataset.table(run))
    found.labels = bq.labels_with(found.labels, **labels)
    if keep:
        found.expires = None
    at.client.update_table(found, ["labels", "expires"] if keep else ["labels"])


def declared(table: str) -> None:
    """Refuse a name that is no table's.

    Raises:
        UserError: it is none.
    """
    if table not in TABLES:
        raise UserError(f"--table: expected one of {', '.join(TABLES)}, found {table!r}")
