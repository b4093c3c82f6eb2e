"""Webhook: messages go to the user's own sender, as signed POSTs.

The rule: a receiver takes an `Idempotency-Key` once, and answers the same 2xx when it comes again; so an attempt of
which nobody knows what came is made again under its key. No address of a private network is reached, whatever a host
name resolves to at that moment, unless `webhook.private_hosts` names it: the check is made where sockets are.
"""

from __future__ import annotations

import ipaddress
import socket
import time
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import msgspec
from msgspec import Struct

from actors.adapters.adapter import Delivery, Later, Outcome, Start, Unknown
from actors.adapters.http_provider import HttpProvider, Names, meaning
from engine.scalars import Instant
from engine.settings import Webhook
from engine.signature import SIGNATURE_HEADER, TIMESTAMP_HEADER, sign

__all__ = ["WebhookAdapter", "is_public"]

PROVIDER_ID_MAX = 200
"""Characters of the id that a receiver gives."""

_NAMES = Names("the webhook", "webhook.url", "webhook.secret")
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


class WebhookAdapter:
    """Posts each attempt to `webhook.url`: JSON, with the headers of a signature and an `Idempotency-Key`."""

    deduplicates = True

    def __init__(self, settings: Webhook, attempt_timeout_s: float, max_concurrent: int) -> None:
        self._url = settings.url
        self._secret = settings.secret.encode()
        host = (urlsplit(settings.url).hostname or "").lower()
        may_be_private = host in {name.strip("[]").lower() for name in settings.private_hosts}
        self._provider = HttpProvider(
            _NAMES,
            attempt_timeout_s,
            max_concurrent,
            socket_factory=None if may_be_private else _public_socket,
        )

    async def send(self, delivery: Delivery, start: Start) -> Outcome | None:
        """Makes an attempt; what the receiver answers means what it means of any provider (`http_provider`)."""
        body = _body_of(delivery)
        timestamp = str(int(time.time()))
        headers = {
            "Content-Type": "application/json",
            "Idempotency-Key": delivery.key,
            TIMESTAMP_HEADER: timestamp,
            SIGNATURE_HEADER: sign(self._secret, timestamp, body),
        }
        try:
            answer = await self._provider.post(self._url, headers, body, start)
        except _PrivateAddress:
            return Later(
                "webhook.url leads into a private network, and nothing was sent; if that is meant, add its host name "
                "to webhook.private_hosts"
            )
        if answer is None or isinstance(answer, Later | Unknown):
            return answer
        said = answer.read(_Answer)
        return meaning(answer, _NAMES, provider_id=_printable(said.id) if said and said.id else None)

    async def close(self) -> None:
        """Lets go of connections."""
        await self._provider.close()


class _Answer(Struct):
    """What a receiver may say: by which id it knows the message."""

    id: str | None = None


class _PrivateAddress(RuntimeError):  # noqa: N818
    """A connection would lead into a private network. As an `OSError` it would be one of many that connecting knows;
    other addresses of the host are tried after either."""


def is_public(address: str) -> bool:
    """Whether an IP address is one of the public Internet, and so is any IPv4 address that it stands for."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        if ip.is_site_local:
            return False
        inner = ip.ipv4_mapped or ip.sixtofour
        if ip in _NAT64:
            inner = ipaddress.IPv4Address(int(ip) & 0xFFFF_FFFF)
        if inner is not None:
            return is_public(str(inner))
    refused = ip.is_private or ip.is_loopback or ip.is_link_local or ip.is_multicast or ip.is_reserved
    return ip.is_global and not refused


def _public_socket(address: aiohttp.AddrInfoType) -> socket.socket:
    family, kind, protocol, _, place = address
    if not is_public(str(place[0])):
        raise _PrivateAddress("a private address")
    return socket.socket(family, kind, protocol)


def _body_of(delivery: Delivery) -> bytes:
    content = delivery.content
    said = {"subject": content.subject, "text": content.text, "html": content.html}
    body: dict[str, Any] = {
        "message_id": delivery.message_id,
        "attempt": delivery.attempt,
        "channel": delivery.channel,
        "recipient_id": delivery.recipient_id,
        "campaign_id": delivery.campaign_id,
        "address": delivery.address,
        "content": {name: text for name, text in said.items() if text is not None},
        "data": None if delivery.data is None else msgspec.Raw(delivery.data),
        "scheduled_at": Instant(delivery.scheduled_at).write(),
        "unsubscribe_url": delivery.unsubscribe_url,
    }
    return msgspec.json.encode(body)


def _printable(text: str) -> str | None:
    return "".join(character for character in text if character.isprintable())[:PROVIDER_ID_MAX] or None
