"""Choice: the adapters that the configuration names, one for all channels that share it."""

from __future__ import annotations

from actors.adapters.adapter import Adapter
from actors.adapters.outbox import Outbox
from actors.adapters.sendgrid import SendGrid
from actors.adapters.smtp import Smtp
from actors.adapters.twilio import Twilio
from actors.adapters.webhook import WebhookAdapter
from engine._core import CHANNELS
from engine.delivery_config import channel_delivery
from engine.settings import Settings

__all__ = ["adapters_by_channel"]


def adapters_by_channel(settings: Settings, outbox: Outbox) -> dict[str, Adapter]:
    """An adapter for each channel. Raises `ConfigurationError` for what one of them does not take."""
    channels: dict[str, list[str]] = {}
    for channel in CHANNELS:
        channels.setdefault(channel_delivery(settings, channel).adapter, []).append(channel)
    chosen: dict[str, Adapter] = {}
    for name, its_channels in channels.items():
        at_once = sum(channel_delivery(settings, channel).max_concurrent for channel in its_channels)
        chosen.update(dict.fromkeys(its_channels, _adapter(name, settings, at_once) or outbox))
    return chosen


def _adapter(name: str, settings: Settings, at_once: int) -> Adapter | None:
    """None for the outbox."""
    timeout_s = settings.delivery.attempt_timeout_ms / 1000
    match name:
        case "smtp":
            return Smtp(settings.smtp, at_once, timeout_s)
        case "sendgrid":
            return SendGrid(settings.sendgrid, timeout_s, at_once)
        case "twilio":
            return Twilio(settings.twilio, settings.delivery.public_url, timeout_s, at_once)
        case "webhook":
            return WebhookAdapter(settings.webhook, timeout_s, at_once)
    return None
