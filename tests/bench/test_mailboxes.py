"""The demo's mail server in its process: what it takes, refuses and tells, and that it ends."""

import smtplib
from collections.abc import Iterator
from email.message import EmailMessage
from pathlib import Path

import pytest

from bench.contacts import contacts_of, household_name, household_number
from bench.mailboxes import Mail, Mailboxes

DATE = 1_500_048_000
DEAD = 44


@pytest.fixture(scope="module")
def mailboxes() -> Iterator[Mailboxes]:
    with Mailboxes() as running:
        yield running


def mail(household: int) -> EmailMessage:
    message = EmailMessage()
    message["To"] = contacts_of(household, None)["email"]
    message["Message-ID"], message["Date"] = "<m-7.0@example.com>", "Fri, 14 Jul 2017 12:00:00 -0400"
    message.set_content("Hello")
    return message


def test_it_takes_mail_for_the_living_and_refuses_the_rest(mailboxes: Mailboxes) -> None:
    with smtplib.SMTP("127.0.0.1", mailboxes.port) as client:
        client.send_message(mail(7), "news@example.com")
        with pytest.raises(smtplib.SMTPRecipientsRefused) as refused:
            client.send_message(mail(DEAD), "news@example.com")
        client.send_message(mail(8), "news@example.com")
    ((code, text),) = refused.value.recipients.values()
    assert (code, text[:5]) == (550, b"5.1.1")
    assert mailboxes.take_mail() == ([Mail("m-7", 7, DATE), Mail("m-7", 8, DATE)], [DEAD])
    assert mailboxes.take_mail() == ([], [])


def test_households_are_known_by_id_and_by_address() -> None:
    assert [household_number(name) for name in (household_name(12), contacts_of(34, None)["email"])] == [12, 34]
    with pytest.raises(ValueError, match="ana"):
        household_number("ana@example.com")


def test_it_ends_with_its_context(mailboxes: Mailboxes) -> None:
    with Mailboxes() as other:
        process = other._process
        assert Path(f"/proc/{process.pid}").exists()
    assert process.returncode is not None
