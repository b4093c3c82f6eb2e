"""Twilio: SMS and WhatsApp by its Messages API.

The rule: a detail is made of a code and words of ours, since Twilio's own messages repeat numbers. What is wrong with
the account or its senders puts a message off; what is wrong with the number, or the message, rejects it.
"""

from __future__ import annotations

import re
import time
from urllib.parse import quote, urlencode

import aiohttp
import msgspec

from actors.adapters.adapter import Delivery, Later, Outcome, Rejected, Start, Unknown
from actors.adapters.http_provider import MISADDRESSED, Answer, HttpProvider, Names, meaning, retry_after_s
from engine.settings import Twilio as Settings

__all__ = ["Twilio"]

_NAMES = Names("Twilio", "twilio.base_url", "twilio.account_sid and twilio.auth_token")

_SERVICE = re.compile(r"MG[0-9a-fA-F]{32}")

_REJECTIONS = {
    21211: "the number is not valid",
    21408: "the account may not send to this region",
    21606: "the sender cannot send to this number",
    21608: "a trial account sends to verified numbers only",
    21610: "the person has unsubscribed from this sender",
    21612: "no way from this sender to this number",
    21614: "the number takes no text messages",
    21617: "the text is longer than 1,600 characters",
    21659: "the sender cannot send to this number's country",
    63003: "the number is not on WhatsApp",
}

_BUSY = {
    20429: "too many requests",
    21611: "the sender's queue is full",
    63017: "too many messages a second",
    63038: "too many messages in a day",
}

_SENDER_FAULTS = {
    21212: "the sender is not valid",
    21603: "it has no sender",
    21660: "the sender is another account's",
    21701: "there is no such messaging service",
    21704: "the messaging service has no numbers",
    21705: "the messaging service is not valid",
    63007: "the sender is on no channel",
}

_NO_CALLBACK = 21609

_CODE_MIN, _CODE_MAX = 10_000, 999_999
"""Phone numbers are longer."""


class _Said(msgspec.Struct):
    sid: str | None = None
    code: int | None = None


class Twilio:
    """The adapter."""

    deduplicates = False
    """Messages has no key by which it would take a request once; the token of that name is in its callbacks to us."""

    def __init__(self, settings: Settings, public_url: str, attempt_timeout_s: float, max_concurrent: int) -> None:
        """Without `public_url` Twilio reports nothing back."""
        self._settings = settings
        self._callback = f"{public_url.rstrip('/')}/api/v1/outreach/webhooks/twilio" if public_url else None
        account = quote(settings.account_sid, safe="")
        self._url = f"{settings.base_url.rstrip('/')}/2010-04-01/Accounts/{account}/Messages.json"
        self._headers = {
            "Authorization": aiohttp.encode_basic_auth(settings.account_sid, settings.auth_token),
            "Content-Type": "application/x-www-form-urlencoded",
        }
        self._provider = HttpProvider(_NAMES, attempt_timeout_s, max_concurrent)

    async def send(self, delivery: Delivery, start: Start) -> Outcome | None:
        """Hands over one message. Raises what `start` raises."""
        if not delivery.content.text:
            return Rejected("it has no text")
        try:
            body = urlencode(self._form(delivery, delivery.content.text)).encode()
        except UnicodeEncodeError:  # it holds the text
            return Rejected("the content has half of a surrogate pair, which is no character")
        answer = await self._provider.post(self._url, self._headers, body, start)
        if answer is None or isinstance(answer, Later | Unknown):
            return answer
        return _meaning(answer, f"twilio.{delivery.channel}_sender")

    async def close(self) -> None:
        """Lets go of connections."""
        await self._provider.close()

    def _form(self, delivery: Delivery, text: str) -> dict[str, str]:
        is_whatsapp = delivery.channel == "whatsapp"
        sender = self._settings.whatsapp_sender if is_whatsapp else self._settings.sms_sender
        form = {"To": _on_whatsapp(delivery.address) if is_whatsapp else delivery.address, "Body": text}
        if _SERVICE.fullmatch(sender):
            form["MessagingServiceSid"] = sender
        else:
            form["From"] = _on_whatsapp(sender) if is_whatsapp else sender
        if self._callback is not None:
            form["StatusCallback"] = f"{self._callback}?{urlencode({'message_id': delivery.message_id})}"
        return form


def _on_whatsapp(address: str) -> str:
    return f"whatsapp:{address.removeprefix('whatsapp:')}"


def _meaning(answer: Answer, sender_key: str) -> Outcome:
    said = answer.read(_Said) or _Said()
    fault = _NAMES.url if answer.status in MISADDRESSED else None
    code = said.code
    if not 400 <= answer.status < 500 or code is None or not _CODE_MIN <= code <= _CODE_MAX:
        return meaning(answer, _NAMES, provider_id=said.sid, fault=fault)
    error = f"Twilio error {code}"
    if code in _REJECTIONS:
        return Rejected(f"{error}: {_REJECTIONS[code]}")
    if code in _BUSY:
        return Later(f"{error}: {_BUSY[code]}", retry_after_s(answer.headers.get("Retry-After"), time.time()))
    if code in _SENDER_FAULTS:
        return Later(f"{error}: {_SENDER_FAULTS[code]}; check {sender_key}")
    if code == _NO_CALLBACK:
        return Later(f"{error}: it cannot call back; check delivery.public_url")
    return meaning(answer, _NAMES, rejection=f"{error}: see https://www.twilio.com/docs/api/errors/{code}", fault=fault)
