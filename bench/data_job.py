"""A data job to begin from: decides for everybody in Parquet files, and writes the decisions to Parquet files.

It runs beside a server on this machine, on the server's own Ray:

    python -m bench.data_job spring launch people.parquet decisions/

A batch that meets a full queue or a shard that is starting again is asked again, under a key of its own, until
everybody in it is decided: who was decided before is answered the same again. So it is when Ray repeats a batch whose
process died, and when the whole job is run again under the same name within a day, on the same files and into another
folder.
"""

from __future__ import annotations

import hashlib
import sys
from typing import TYPE_CHECKING

import pyarrow.compute  # type: ignore[import-untyped]
import ray.data
from tenacity import retry, retry_if_exception_type, retry_if_result, stop_after_delay, wait_random_exponential

from actors import Outreach
from actors.tables import stream_of
from engine.errors import Overloaded, ShardUnavailable

if TYPE_CHECKING:
    import pyarrow

__all__ = ["decide_all"]

BATCH = 10_000
DECIDERS = 2
"""Processes that wait for decisions, a batch each."""

PAUSE_MAX_S = 5
PATIENCE_S = 600


def decide_all(campaign_id: str, job: str, people: str, decisions: str, batch: int = BATCH) -> None:
    """Reads the file or folder `people`, a row a person, and writes a row for each into the folder `decisions`."""
    Outreach.connect().close()  # joins the cluster
    ray.data.DataContext.get_current().execution_options.preserve_order = True  # so that batches are cut alike
    (
        ray.data.read_parquet(people)
        .map_batches(
            Decide,
            fn_constructor_args=(campaign_id, job),
            batch_size=batch,
            batch_format="pyarrow",
            concurrency=DECIDERS,
            num_cpus=0,  # they wait, mostly
        )
        .write_parquet(decisions, mode=ray.data.SaveMode.ERROR)  # of an earlier run nothing is doubled
    )


def _some_are_late(decisions: pyarrow.Table) -> bool:
    return "unavailable" in pyarrow.compute.unique(decisions["status"]).to_pylist()


class Decide:
    """Of one process."""

    def __init__(self, campaign_id: str, job: str) -> None:
        self._campaign_id = campaign_id
        self._job = job
        self._outreach = Outreach.connect()

    @retry(
        retry=retry_if_exception_type((Overloaded, ShardUnavailable)) | retry_if_result(_some_are_late),
        wait=wait_random_exponential(max=PAUSE_MAX_S),
        stop=stop_after_delay(PATIENCE_S),
        reraise=True,
    )
    def __call__(self, people: pyarrow.Table) -> pyarrow.Table:
        """The decisions about one batch, in its order."""
        key = f"{self._job}-{hashlib.sha256(stream_of(people)).hexdigest()}"
        decisions = self._outreach.send_batch(self._campaign_id, people, idempotency_key=key)
        return decisions.replace_schema_metadata()  # which differs from batch to batch


if __name__ == "__main__":
    _, given_campaign, given_job, given_people, given_decisions = sys.argv
    decide_all(given_campaign, given_job, given_people, given_decisions)
