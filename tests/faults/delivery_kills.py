"""kill -9 of the dispatcher and of shards while messages leave by SMTP: none is lost, and none arrives twice.

A real server delivers to a real mail server. What was under way at a kill may have arrived or not: such messages say so
(`unknown`), are not made again, and are all that may be missing.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import tempfile
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from bench.connection import Connection, Refused
from bench.delivery import CONFIGURATION, CONNECTIONS
from bench.mail_sink import MailSink
from bench.population import people
from bench.processes import descendants
from bench.server import Server

COUNT = 50_000
BATCH = 10_000
SHARDS = 2
VICTIMS = ("ray::Dispatcher", "ray::Shard")
WITHIN_S = 300.0
PAUSE_S = 0.02
CAMPAIGN = "mail"


async def delivery_kills(count: int, seed: int) -> Counter[str]:
    """So many kills while 50,000 messages leave. Raises `AssertionError` where one is lost or comes twice."""
    dice, struck = random.Random(seed), Counter[str]()
    with MailSink() as sink, tempfile.TemporaryDirectory(prefix="madan-sara-faults-") as directory:
        configuration = Path(directory) / "smtp.toml"
        configuration.write_text(CONFIGURATION.replace("PORT", str(sink.port)))
        with Server("--shards", str(SHARDS), "--config", str(configuration), delivers=True) as server:
            messages = await asyncio.to_thread(_send_all, server)
            every = COUNT // (count + 1)
            for strike in range(1, count + 1):
                await _until(partial(_has_come, sink, every * strike), "the mail server got nothing more")
                victim = dice.choice(VICTIMS)
                await _kill_one(server, victim, dice)
                struck[victim.removeprefix("ray::").lower()] += 1
            connection = Connection(server.host, server.port)
            await _until(lambda: _is_settled(connection), "messages still wait or are claimed")
            arrived = Counter(message_of(name) for name, _ in sink.take().messages)
            twice = [message for message, times in arrived.items() if times > 1]
            assert not twice, f"{len(twice)} messages arrived twice, such as {twice[0]}"
            missing = messages - arrived.keys()
            states = Counter(_message(connection, message)["state"] for message in missing)
            assert set(states) <= {"unknown"}, f"messages are lost: {states}"
            totals = connection.get(f"/campaigns/{CAMPAIGN}/status")["messages"]
            assert totals["sent"] + totals["unknown"] == COUNT, totals
            assert totals["unknown"] <= count * CONNECTIONS, totals
            connection.close()
    struck["unknown"], struck["unknown and not arrived"] = totals["unknown"], len(missing)
    return struck


def message_of(message_id_header: str) -> str:
    """`<m-1.0@example.com>`: the message, and how many attempts came before."""
    name, _, attempt = message_id_header.strip("<>").partition("@")[0].rpartition(".")
    assert attempt == "0", f"an attempt was made again: {message_id_header}"
    return name


def _send_all(server: Server) -> set[str]:
    connection = Connection(server.host, server.port)
    connection.put(f"/campaigns/{CAMPAIGN}", {"channels": {"allowed": ["email"]}, "category": "transactional"})
    messages = set[str]()
    for first in range(0, COUNT, BATCH):
        request = {
            "campaign_id": CAMPAIGN,
            "recipients": msgspec.Raw(people(first, BATCH)),
            "content": {"subject": "Hello", "text": "Good morning"},
        }
        answer = msgspec.json.decode(connection.post("/send-batch", msgspec.json.encode(request)))
        assert answer["counts"]["scheduled"] == BATCH, answer["counts"]
        messages.update(decision["message_id"] for decision in answer["results"])
    connection.close()
    return messages


async def _kill_one(server: Server, title: str, dice: random.Random) -> None:
    """Once it is there: it may just begin again."""
    found: list[int] = []

    def is_there() -> bool:
        found[:] = [process for process, name in descendants(server.process_id) if name.startswith(title)]
        return bool(found)

    await _until(is_there, f"no {title} is there")
    with suppress(ProcessLookupError):
        os.kill(dice.choice(found), signal.SIGKILL)


def _has_come(sink: MailSink, count: int) -> bool:
    return sink.count() >= count


def _is_settled(connection: Connection) -> bool:
    try:
        messages = connection.get(f"/campaigns/{CAMPAIGN}/status")["messages"]
    except (Refused, OSError):
        connection.close()
        return False
    return int(messages["scheduled"] + messages["claimed"]) == 0


def _message(connection: Connection, message_id: str) -> dict[str, Any]:
    return connection.get(f"/messages/{message_id}")


async def _until(is_so: Callable[[], bool], otherwise: str) -> None:
    end = asyncio.get_running_loop().time() + WITHIN_S
    while not await asyncio.to_thread(is_so):
        assert asyncio.get_running_loop().time() < end, otherwise
        await asyncio.sleep(PAUSE_S)
