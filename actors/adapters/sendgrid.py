"""SendGrid: e-mail by its v3 Mail Send API.

The rule: a detail is made of words of ours. SendGrid's own messages may repeat an address; its names of fields count
only where they are names of fields that we sent.
"""

from __future__ import annotations

import re
import time
from email.utils import parseaddr
from typing import Any

import msgspec

from actors.adapters.adapter import Delivery, Later, Outcome, Rejected, Start, Unknown
from actors.adapters.http_provider import AFTER_S_MAX, MISADDRESSED, Answer, HttpProvider, Names, meaning
from engine.errors import ConfigurationError
from engine.settings import SendGrid as Settings

__all__ = ["SendGrid"]

_NAMES = Names("SendGrid", "sendgrid.base_url", "sendgrid.api_key and sendgrid.sender")

_TOKEN = re.compile(r"[!-~]+")

_FIELD = re.compile(
    r"(personalizations|from|subject|content|headers)"
    r"(\.(\d{1,3}|to|email|name|custom_args|message_id|attempt|type|value|List-Unsubscribe|List-Unsubscribe-Post))*"
)

_FIELDS_MAX = 5


class _Fault(msgspec.Struct):
    field: str | None = None


class _Faults(msgspec.Struct):
    errors: list[_Fault] = []


class SendGrid:
    """The adapter."""

    deduplicates = False
    """Mail Send knows no key by which it would take a request once."""

    def __init__(self, settings: Settings, attempt_timeout_s: float, max_concurrent: int) -> None:
        """Raises `ConfigurationError` for a sender or a key that no request could carry."""
        name, address = parseaddr(settings.sender)
        if not re.fullmatch(r"[^@\s]+@[^@\s]+", address):
            raise ConfigurationError("sendgrid.sender", "takes an address, or Name <address>")
        if not _TOKEN.fullmatch(settings.api_key):
            raise ConfigurationError("sendgrid.api_key", "takes a key, without spaces or line breaks")
        self._sender = {"email": address, "name": name} if name else {"email": address}
        self._url = f"{settings.base_url.rstrip('/')}/v3/mail/send"
        self._headers = {"Authorization": f"Bearer {settings.api_key}", "Content-Type": "application/json"}
        self._provider = HttpProvider(_NAMES, attempt_timeout_s, max_concurrent)

    async def send(self, delivery: Delivery, start: Start) -> Outcome | None:
        """Hands over one e-mail. Raises what `start` raises."""
        content = delivery.content
        if not content.subject:
            return Rejected("it has no subject, and SendGrid takes no e-mail without one")
        if not content.text and not content.html:
            return Rejected("it has neither text nor HTML")
        try:
            body = msgspec.json.encode(self._message(delivery, content.subject))
        except UnicodeEncodeError:  # it holds the text
            return Rejected("the content has half of a surrogate pair, which is no character")
        answer = await self._provider.post(self._url, self._headers, body, start)
        if answer is None or isinstance(answer, Later | Unknown):
            return answer
        return _meaning(answer)

    async def close(self) -> None:
        """Lets go of connections."""
        await self._provider.close()

    def _message(self, delivery: Delivery, subject: str) -> dict[str, Any]:
        # events come back with custom_args, and are found by them; their values are text
        arguments = {"message_id": delivery.message_id, "attempt": str(delivery.attempt)}
        parts = (("text/plain", delivery.content.text), ("text/html", delivery.content.html))
        message: dict[str, Any] = {
            "personalizations": [{"to": [{"email": delivery.address}], "custom_args": arguments}],
            "from": self._sender,
            "subject": subject,
            "content": [{"type": kind, "value": value} for kind, value in parts if value],
        }
        if delivery.unsubscribe_url:
            message["headers"] = {
                "List-Unsubscribe": f"<{delivery.unsubscribe_url}>",
                "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
            }
        return message


def _meaning(answer: Answer) -> Outcome:
    named = _fields(answer)
    fault = None
    if answer.status in MISADDRESSED:
        fault = "sendgrid.base_url"
    elif named and all(field.split(".")[0] == "from" for field in named):
        fault = "sendgrid.sender"
    return meaning(
        answer,
        _NAMES,
        provider_id=answer.headers.get("X-Message-Id"),
        rejection=f"SendGrid answered {answer.status} ({', '.join(named)})" if named else None,
        fault=fault,
        after_s=_reset_after_s(answer) if answer.status == 429 else None,
    )


def _fields(answer: Answer) -> list[str]:
    faults = answer.read(_Faults) or _Faults()
    named = [fault.field for fault in faults.errors if fault.field and _FIELD.fullmatch(fault.field)]
    return list(dict.fromkeys(named))[:_FIELDS_MAX]


def _reset_after_s(answer: Answer) -> float | None:
    """Seconds to the instant at which SendGrid counts requests anew; it names that one rather than Retry-After."""
    reset = answer.headers.get("X-RateLimit-Reset", "")
    if not (reset.isascii() and reset.isdigit()):
        return None
    return min(max(float(reset) - time.time(), 0.0), AFTER_S_MAX)
