"""What delivery takes of the configuration: adapters that their channels know, and credentials where one needs them."""

from __future__ import annotations

from urllib.parse import urlsplit

import msgspec

from engine._core import CHANNELS
from engine.errors import ConfigurationError
from engine.loopback import is_loopback
from engine.settings import ChannelDelivery, Settings

__all__ = ["channel_delivery", "charged_channels", "check_delivery", "success_limits_s", "without_credentials"]

_CHANNELS_OF = {"smtp": ("email",), "sendgrid": ("email",), "twilio": ("sms", "whatsapp")}
"""The others take any."""

_NEEDS = {
    "smtp": ("host", "sender"),
    "sendgrid": ("base_url", "api_key", "sender"),
    "twilio": ("base_url", "account_sid", "auth_token"),
    "webhook": ("url", "secret"),
}


def channel_delivery(settings: Settings, channel: str) -> ChannelDelivery:
    """How messages of a channel leave."""
    delivery: ChannelDelivery = getattr(settings.delivery, channel)
    return delivery


def charged_channels(settings: Settings) -> frozenset[str]:
    """The channels on which an attempt that was made and failed costs."""
    return frozenset(channel for channel in CHANNELS if channel_delivery(settings, channel).charge == "attempt")


def success_limits_s(settings: Settings) -> list[int]:
    """By channel, how long what was sent has to be heard of, in seconds; 0: for ever."""
    hours = [channel_delivery(settings, channel).success_within_hours for channel in CHANNELS]
    return [max(1, round(limit * 3600)) if limit else 0 for limit in hours]


def check_delivery(settings: Settings) -> None:
    """Raises `ConfigurationError` for what an adapter could not work with."""
    delivery = settings.delivery
    for channel in CHANNELS:
        adapter = channel_delivery(settings, channel).adapter
        if channel not in _CHANNELS_OF.get(adapter, CHANNELS):
            takes = ["outbox", "webhook", *(name for name, channels in _CHANNELS_OF.items() if channel in channels)]
            raise ConfigurationError(f"delivery.{channel}.adapter", f"takes {' or '.join(sorted(takes))}")
        for key in _NEEDS.get(adapter, ()):
            if not getattr(getattr(settings, adapter), key):
                raise ConfigurationError(f"{adapter}.{key}", f"is needed where delivery.{channel}.adapter is {adapter}")
        if adapter == "twilio" and not getattr(settings.twilio, f"{channel}_sender"):
            raise ConfigurationError(
                f"twilio.{channel}_sender", f"is needed where delivery.{channel}.adapter is twilio"
            )
    if settings.smtp.username and settings.smtp.security == "none" and not is_loopback(settings.smtp.host):
        raise ConfigurationError(
            "smtp.security",
            "takes starttls or tls where smtp.username is given, or the password could be read on its way",
        )
    if delivery.attempt_timeout_ms * 2 > delivery.claim_timeout_ms:
        raise ConfigurationError("delivery.claim_timeout_ms", "takes no less than twice delivery.attempt_timeout_ms")
    if settings.sendgrid.webhook_public_key:
        from engine.signature import sendgrid_key  # noqa: PLC0415 - it takes a tenth of a second, and few need it

        sendgrid_key(settings.sendgrid.webhook_public_key)
    urls = {
        "delivery.public_url": delivery.public_url,
        "sendgrid.base_url": settings.sendgrid.base_url,
        "twilio.base_url": settings.twilio.base_url,
        "webhook.url": settings.webhook.url,
    }
    for key, url in urls.items():
        if url and not _is_http(url):
            raise ConfigurationError(key, "takes a URL that begins with https:// or http:// and names a host")


def without_credentials(settings: Settings) -> Settings:
    """What those get who deliver nothing."""
    replace = msgspec.structs.replace
    return replace(
        settings,
        smtp=replace(settings.smtp, password=""),
        sendgrid=replace(settings.sendgrid, api_key=""),
        twilio=replace(settings.twilio, auth_token=""),
        webhook=replace(settings.webhook, secret=""),
    )


def _is_http(url: str) -> bool:
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018 - raises ValueError
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.hostname)
