"""A plain aiosmtplib loop, the peer of delivery: what a user writes who has a list and nothing to decide.

    python -m bench.plain_mail PORT COUNT CONNECTIONS

Each connection sends its share of the messages one after the other. It checks nothing, keeps nothing, and what it had
sent before a crash it does not know.
"""

from __future__ import annotations

import asyncio
import sys
from email.message import EmailMessage
from email.utils import make_msgid

from bench.mail_content import SUBJECT, TEXT
from bench.population import recipient_name

SENDER = "news@example.com"


def message_to(number: int) -> EmailMessage:
    """What person `number` gets."""
    message = EmailMessage()
    message["From"], message["To"] = SENDER, f"{recipient_name(number)}@example.com"
    message["Subject"], message["Message-ID"] = SUBJECT, make_msgid(domain="example.com")
    message.set_content(TEXT)
    return message


async def send_all(port: int, count: int, connections: int) -> None:
    """So many messages over so many connections."""
    from aiosmtplib import SMTP  # noqa: PLC0415 - peers are imported where they are measured

    async def send(first: int) -> None:
        async with SMTP(hostname="127.0.0.1", port=port, start_tls=False) as client:
            for number in range(first, count, connections):
                await client.send_message(message_to(number))

    await asyncio.gather(*(send(first) for first in range(connections)))


if __name__ == "__main__":
    asyncio.run(send_all(*(int(argument) for argument in sys.argv[1:4])))
