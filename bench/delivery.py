"""Delivery: how many decided messages a second leave by SMTP, beside a plain aiosmtplib loop to the same server."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from statistics import median
from time import monotonic, sleep

import msgspec

from bench.answers import BatchAnswer
from bench.connection import Connection
from bench.mail_content import SUBJECT, TEXT
from bench.mail_sink import Arrivals, MailSink
from bench.plain_mail import SENDER
from bench.population import people, recipient_name
from bench.progress import tell
from bench.result import AnswersWrong, Result
from bench.server import Server

ROUND, ROUNDS = 10_000, 5
PLAIN_COUNT = 5_000
CONNECTIONS = 32
TARGET = 0.7
CAMPAIGN = "mail"
HOUR = 10
"""Of the first round's instant; each is due an hour after the one before."""

GIVE_UP_S = 300.0
PAUSE_S = 0.1

CONFIGURATION = f"""
[delivery.email]
adapter = "smtp"
max_concurrent = {CONNECTIONS}

[smtp]
host = "127.0.0.1"
port = PORT
security = "none"
sender = "{SENDER}"
"""


def delivery() -> Result:
    """In turn: the plain loop, then all that is due at one instant from the product; each arrival is checked."""
    plain, ours = [], []
    with MailSink() as sink, tempfile.TemporaryDirectory(prefix="madan-sara-bench-") as directory:
        configuration = Path(directory) / "smtp.toml"
        configuration.write_text(CONFIGURATION.replace("PORT", str(sink.port)))
        with Server("--clock", "manual", "--config", str(configuration), delivers=True) as server:
            connection = Connection(server.host, server.port)
            connection.set_clock(_hour(HOUR - 1))
            connection.put(f"/campaigns/{CAMPAIGN}", {"channels": {"allowed": ["email"]}, "category": "transactional"})
            for number in range(ROUNDS):
                tell(f"round {number + 1} of {ROUNDS}")
                plain.append(_plain(sink))
                connection.close()  # it was idle for long
                ours.append(_ours(sink, connection, number))
            plain.append(_plain(sink))
    middle, plain_middle = median(ours), median(plain)
    ratio = middle / plain_middle
    return Result(
        name="delivery",
        headline=f"{middle:,.0f} messages a second by SMTP ({min(ours):,.0f} to {max(ours):,.0f}); {ratio:.2f} of a "
        f"plain aiosmtplib loop ({plain_middle:,.0f})",
        target=f"{TARGET:.2f} of the plain loop",
        reached=ratio >= TARGET,
        method=f"{ROUNDS} times {ROUND:,} messages due at one instant, {CONNECTIONS} connections to a mail server "
        "(aiosmtpd) on the same cores, which saw every message once; in turn with the plain loop, "
        f"{PLAIN_COUNT:,} messages over as many connections, which decides, claims and remembers nothing; from the "
        "first to the last arrival, medians (range)",
        figures={
            "smtp_per_s": round(middle),
            "smtp_per_s_range": [round(min(ours)), round(max(ours))],
            "ratio": round(ratio, 3),
            "plain_per_s": round(plain_middle),
            "plain_per_s_range": [round(min(plain)), round(max(plain))],
            "messages": ROUNDS * ROUND,
            "connections": CONNECTIONS,
        },
    )


def _plain(sink: MailSink) -> float:
    command = [sys.executable, "-m", "bench.plain_mail", str(sink.port), str(PLAIN_COUNT), str(CONNECTIONS)]
    subprocess.run(command, check=True)
    arrivals = sink.take()
    _check(arrivals, 0, PLAIN_COUNT)
    return arrivals.per_second


def _ours(sink: MailSink, connection: Connection, number: int) -> float:
    first, due = number * ROUND, _hour(HOUR + number)
    request = {
        "campaign_id": CAMPAIGN,
        "recipients": msgspec.Raw(people(first, ROUND)),
        "send_at": due,
        "content": {"subject": SUBJECT, "text": TEXT},
    }
    answer = msgspec.json.decode(connection.post("/send-batch", msgspec.json.encode(request)), type=BatchAnswer)
    if answer.counts["scheduled"] != ROUND:
        raise AnswersWrong(f"not everybody was to be written to: {answer.counts}")
    if sink.count():
        raise AnswersWrong("something was sent before it was due")
    connection.set_clock(due)
    _wait_until_sent(connection, first + ROUND)
    arrivals = sink.take()
    _check(arrivals, first, ROUND)
    return arrivals.per_second


def _hour(hour: int) -> str:
    return f"2026-01-05T{hour:02d}:00:00Z"


def _wait_until_sent(connection: Connection, count: int) -> None:
    """Until so many messages were reported as sent. Raises `AnswersWrong` if any ends otherwise."""
    give_up = monotonic() + GIVE_UP_S
    while (messages := connection.get(f"/campaigns/{CAMPAIGN}/status")["messages"])["sent"] != count:
        if messages["sent"] + messages["claimed"] + messages["scheduled"] != count or monotonic() > give_up:
            raise AnswersWrong(f"not everything was sent: {messages}")
        sleep(PAUSE_S)


def _check(arrivals: Arrivals, first: int, count: int) -> None:
    """Everybody has one message, and no two messages have one id."""
    expected = {f"{recipient_name(number)}@example.com" for number in range(first, first + count)}
    addresses, ids = Counter(address for _, address in arrivals.messages), {name for name, _ in arrivals.messages}
    if addresses != Counter(expected) or len(ids) != count:
        raise AnswersWrong(f"{len(addresses):,} of {count:,} people got {len(arrivals.messages):,} messages")
