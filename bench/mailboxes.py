"""The households' mail server in the demo: it refuses mail to the mailboxes that are dead, and remembers what came.

    python -m bench.mailboxes

As `bench.mail_sink`; it also tells the date of each message, and whose mail was refused.
"""

from __future__ import annotations

import asyncio
from email.utils import parsedate_to_datetime
from typing import Any, NamedTuple

from bench.contacts import comes_back, household_number
from bench.mail_sink import Handler, MailSink, header, serve

DATE = b"date:"
REFUSAL = "550 5.1.1 no such mailbox"


class Mail(NamedTuple):
    """A message that came: the id and the date in its head (seconds since the epoch), and to whom."""

    message_id: str
    household: int
    date: int


class Mailboxes(MailSink):
    """The process, from entering to leaving."""

    module = "bench.mailboxes"

    def take_mail(self) -> tuple[list[Mail], list[int]]:
        """What came since the last call, and the household of each refusal."""
        taken = self.take_all()
        mail = [
            Mail(message_id.strip("<>").partition(".")[0], household_number(address), _seconds(date))
            for (message_id, address), date in zip(taken["messages"], taken["dates"], strict=True)
        ]
        return mail, [household_number(address) for address in taken["refused"]]


class _Handler(Handler):
    def __init__(self) -> None:
        super().__init__()
        self.dates: list[str] = []
        self.refused: list[str] = []

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's name
        self, server: Any, session: Any, envelope: Any, address: str, options: list[str]
    ) -> str:
        if comes_back("email", household_number(address)):
            self.refused.append(address)
            return REFUSAL
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802
        self.dates.append(header(envelope.content, DATE))
        return await super().handle_DATA(server, session, envelope)

    def take(self) -> dict[str, Any]:
        taken = {**super().take(), "dates": self.dates, "refused": self.refused}
        self.dates, self.refused = [], []
        return taken


def _seconds(date: str) -> int:
    return int(parsedate_to_datetime(date).timestamp())


if __name__ == "__main__":
    asyncio.run(serve(_Handler()))
