"""What the compiler learns from: some days' work in the mix of real ones, while the core counts every branch it takes.

`make` compiles the core, has it do this, and compiles it again for what it saw (Makefile). All work whose speed matters
must be in here, or it is compiled as something rare: batches in JSON and Arrow, of people met for the first time and
known; single sends; events; what goes to the disk, and what a restart reads from it.
"""

from __future__ import annotations

from typing import Any

import msgspec

from bench.batch_form import ARROW, JSON, shape_of
from bench.batches import CAMPAIGN, FIRST_DAY, dedup_key
from bench.disk import Disk
from bench.engine_decisions import campaign_for
from bench.journey import DAY
from bench.population import send_body
from engine import Engine
from engine._core import Request

BATCH = 10_000
BATCHES = 3
DAYS = 8
SENDS_AT_ONCE = 10
ROUNDS_OF_SENDS = 500
RESTARTS = 5


def train() -> None:
    """Does the work. Raises `RuntimeError` if what was read back is not what was written."""
    engine, disk = Engine(), Disk()
    # A shard writes once it has read, be it nothing.
    disk.read_into(engine.shards[0])
    engine.put_campaign(campaign_for(BATCH * BATCHES))
    message_ids = send_batches(engine, disk)
    send_singly(engine, disk)
    tell(engine, disk, message_ids)
    for _ in range(RESTARTS):
        again = Engine()
        disk.read_into(again.shards[0])
        if again.shards[0].state_hash() != engine.shards[0].state_hash():
            raise RuntimeError("what was read back is not what was written")


def send_batches(engine: Engine, disk: Disk) -> list[str]:
    """The same people in either form, day after day; the messages of the last."""
    message_ids: list[str] = []
    crowds = [(form, form.people(index * BATCH, BATCH)) for form in (JSON, ARROW) for index in range(BATCHES)]
    for day in range(DAYS):
        for form, people in crowds:
            ask = form.ask(CAMPAIGN, f"{dedup_key(day)}-{form is JSON}", people)
            shape = shape_of(form, ask)
            request = engine.router.parse_batch(ask.body, shape)
            decided = engine.shards[0].decide(request.part(0, FIRST_DAY + day * DAY))
            rendered, _ = shape.render(request, {0: decided}, "b-training")
            disk.write(engine.shards[0])
            if form is JSON and day == DAYS - 1:
                results: list[dict[str, Any]] = msgspec.json.decode(rendered)["results"]
                message_ids += [result["message_id"] for result in results if result["message_id"]]
    return message_ids


def send_singly(engine: Engine, disk: Disk) -> None:
    """Sends that arrive together, one of them known already for each that is not."""
    for first in range(0, ROUNDS_OF_SENDS * SENDS_AT_ONCE, SENDS_AT_ONCE):
        numbers = [number if number % 2 else BATCH * BATCHES + number for number in range(first, first + SENDS_AT_ONCE)]
        sends = [engine.router.parse_send(send_body(CAMPAIGN, number)) for number in numbers]
        for request, _ in Request.together(sends):
            decided = engine.shards[0].decide(request.part(0, FIRST_DAY + DAYS * DAY))
            request.replies({0: decided}).render_sends()
        disk.write(engine.shards[0])


def tell(engine: Engine, disk: Disk, message_ids: list[str]) -> None:
    """What became of these messages."""
    for kind in ("delivered", "opened", "clicked"):
        events = [{"id": f"{kind}-{id}", "type": kind, "message_id": id} for id in message_ids]
        engine.events({"events": events}, FIRST_DAY + (DAYS + 1) * DAY)
        disk.write(engine.shards[0])


if __name__ == "__main__":
    train()
