"""A message as mail: bytes that any mail server takes, and that say what was to be said and nothing else.

The rule: nothing that stands in a profile or in content makes a header, a part or a command. What could is refused
here, and the standard library encodes the rest. Bodies go as 7-bit text, quoted-printable or base64 and ask nothing of
the servers on the way; UTF-8 stands in a header only where the address cannot do without.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from email.errors import HeaderParseError, InvalidHeaderDefect
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP, SMTPUTF8
from typing import Any, NamedTuple

from actors.adapters.adapter import Delivery, Later, Rejected
from engine.errors import ConfigurationError

__all__ = ["Composer", "Mail"]

_SEVEN_BIT = SMTP.clone(cte_type="7bit")
_UTF8 = SMTPUTF8.clone(cte_type="7bit")
"""With UTF-8 in the headers."""

_BREAKS_A_LINE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_NOT_IN_AN_ADDRESS = re.compile("[\x00-\x20\x7f-\xa0<>\u2028\u2029\ud800-\udfff]")
_URL = re.compile(r"[!-;=?-~]+")


class Mail(NamedTuple):
    """A message that is ready for a mail server."""

    sender: bytes
    """The address in the envelope, as the recipient's."""
    recipient: bytes
    needs_smtputf8: bool
    content: bytes
    """Whole lines, each ending in CRLF."""


class Composer:
    """Writes mail from one sender."""

    def __init__(self, sender: str) -> None:
        """`sender` is `smtp.sender`. Raises `ConfigurationError` where it is not one address."""
        self._from, address = _parsed_sender(sender)
        self._sender = address.encode("ascii")
        self._domain = address.rpartition("@")[2]

    def compose(self, delivery: Delivery, date: int) -> Mail | Rejected | Later:
        """The mail of an attempt, dated `date` (seconds since the epoch); or why there can be none."""
        if (fault := _fault(delivery)) is not None:
            return fault
        address = _with_ascii_domain(delivery.address)
        try:
            return Mail(
                self._sender,
                address.encode(),
                needs_smtputf8=not address.isascii(),
                content=self._message(delivery, address, date),
            )
        except UnicodeEncodeError:
            return Rejected("the content has half of a surrogate pair, which is no character")
        except ValueError:  # its text may quote the address
            return Rejected("the standard library cannot write it as mail")

    def _message(self, delivery: Delivery, address: str, date: int) -> bytes:
        """All of it, by the standard library. Raises ValueError for what cannot be written."""
        content, url = delivery.content, delivery.unsubscribe_url
        local, _, domain = address.rpartition("@")
        message = EmailMessage(_SEVEN_BIT if address.isascii() else _UTF8)
        message["From"] = self._from
        message["To"] = Address(addr_spec=address) if address.isascii() else Address(username=local, domain=domain)
        if content.subject:
            message["Subject"] = content.subject
        message["Date"] = datetime.fromtimestamp(date, UTC)
        message["Message-ID"] = f"<{delivery.key}@{self._domain}>"
        if url is not None:
            message["List-Unsubscribe"] = f"<{url}>"
            message["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"  # RFC 8058
        if content.text:
            message.set_content(content.text)
            if content.html:
                message.add_alternative(content.html, subtype="html")
        else:
            message.set_content(content.html, subtype="html")
        return message.as_bytes()


def _fault(delivery: Delivery) -> Rejected | Later | None:
    """What mail cannot carry."""
    content, url = delivery.content, delivery.unsubscribe_url
    subject, bodies = content.subject or "", (content.text or "") + (content.html or "")
    faults = (
        (not bodies, "the content has neither text nor html"),
        ("\0" in bodies, "the content has a NUL, which mail cannot carry"),
        (_BREAKS_A_LINE.search(subject), "the subject has a line break or another control character"),
        ("=?" in subject, "the subject has =?, which mail takes for the beginning of an encoded word"),
        (_NOT_IN_AN_ADDRESS.search(delivery.address), "the address has a character that mail cannot carry"),
    )
    for is_so, detail in faults:
        if is_so:
            return Rejected(detail)
    if url is not None and _URL.fullmatch(url) is None:
        return Later("delivery.public_url has a character that no URL has: write it percent-encoded")
    return None


def _parsed_sender(sender: str) -> tuple[Any, str]:
    """Whom mail is from, as a header that need not be parsed again, and the address in it."""
    message = EmailMessage(SMTP)
    try:
        message["From"] = sender
        (one,) = message["From"].addresses
        address = _with_ascii_domain(one.addr_spec)
        is_wrong = any(isinstance(defect, InvalidHeaderDefect) for defect in message["From"].defects)
        if is_wrong or not (one.username and one.domain and address.isascii()) or _NOT_IN_AN_ADDRESS.search(address):
            raise ValueError
        message.replace_header("From", Address(one.display_name, addr_spec=address))
        return message["From"], address
    except (ValueError, IndexError, HeaderParseError):
        takes = 'takes an address, ASCII before the @, or a name and it: "Ana\'s shop <news@example.com>"'
        raise ConfigurationError("smtp.sender", takes) from None


def _with_ascii_domain(address: str) -> str:
    """With the domain as DNS has it, where that says the same; mail to such an address needs no SMTPUTF8."""
    if address.isascii():
        return address
    local, _, domain = address.rpartition("@")
    try:
        ascii_domain = domain.encode("idna").decode("ascii")
        says_the_same = ascii_domain.encode("ascii").decode("idna") == domain.lower()
    except UnicodeError:
        return address
    return f"{local}@{ascii_domain}" if says_the_same and local.isascii() else address
