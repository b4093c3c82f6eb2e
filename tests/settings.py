"""The configuration of clusters in which tests look at what waits: nothing is delivered."""

from __future__ import annotations

from typing import Any

import msgspec

from engine.config import default_settings
from engine.settings import Settings


def deciding(**changes: Any) -> Settings:
    """The defaults with these changes, and without delivery."""
    settings = default_settings()
    delivery = msgspec.structs.replace(settings.delivery, enabled=False)
    return msgspec.structs.replace(settings, delivery=delivery, **changes)
