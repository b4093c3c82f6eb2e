"""Growth of a restart: how long nobody is answered after `kill -9` of all shards and the ledger, by people known."""

from __future__ import annotations

from statistics import median

from bench.growth.points import RestartPoint
from bench.population import crowd
from bench.progress import tell
from bench.restart import EVERYBODY, PAUSE_S, PROBES, SHARDS, fill, seconds_after_kill, wait_for_spares
from bench.server import Server

RECIPIENTS = (10_000, 100_000, 1_000_000)
KILLS = 3
METHOD = (
    f"{SHARDS} shards that get to know more and more people; kill -9 of all of them and the ledger, until a batch of "
    f"{PROBES} known people is decided whole, asked again every {PAUSE_S * 1000:.0f} ms; {KILLS} times each, median "
    "(range); the status is compared over each crash"
)


def restart_curve() -> list[RestartPoint]:
    """Raises `AnswersWrong`."""
    points = []
    known = 0
    with Server("--clock", "manual", "--shards", str(SHARDS)) as server:
        for recipients in RECIPIENTS:
            tell(f"restart with {recipients:,} people")
            fill(server, known, recipients, crowd)
            known = recipients
            seconds = []
            for _ in range(KILLS):
                wait_for_spares(server)
                seconds.append(round(seconds_after_kill(server, EVERYBODY, SHARDS + 1), 2))
            points.append(
                RestartPoint(
                    recipients=recipients,
                    seconds=round(median(seconds), 2),
                    seconds_range=(min(seconds), max(seconds)),
                    kills=KILLS,
                )
            )
    return points
