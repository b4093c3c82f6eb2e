"""One engine with one message of one person, which a test then dispatches."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from engine import Engine
from engine.config import load_settings
from engine.delivery import Claimed
from engine.errors import ShardUnavailable
from tests.disk import Disk
from tests.reference_rules import MINUTE

__all__ = ["ANA", "LASTS", "NOBODY", "NOW", "ROOM", "Sent"]

NOW = 1_772_442_000  # 2026-03-02T09:00:00Z, a Monday
ROOM = {"email": 100, "sms": 100}
ANA = {"id": "ana", "contacts": {"email": "ana@example.com", "sms": "+15550001"}}
NOBODY = frozenset[str]()
LASTS = 10 * MINUTE


class Sent:
    """One engine with one message of one person, due now."""

    def __init__(
        self,
        channel: str | None = "email",
        options: dict[str, Any] | None = None,
        now: int = NOW,
        person: dict[str, Any] = ANA,
        **campaign: Any,
    ) -> None:
        self.engine = Engine(load_settings(environment={}, options=options))
        self.disk = Disk(self.engine, 0)
        self.engine.put_campaign({"id": "c", "urgency": "high", **campaign})
        self.now = now
        request = {"campaign_id": "c", "recipient": person, "content": {"text": "Hello"}}
        request |= {} if channel is None else {"channels": [channel]}
        self.message_id = self.engine.send(request, now)["message_id"]

    def claim(self, lasts: int = LASTS, deduplicates: frozenset[str] = NOBODY) -> list[Claimed]:
        return self.engine.claim(ROOM, self.now, self.now + lasts, deduplicates)

    def start(self, claimed: Claimed) -> bool:
        return self.engine.start([claimed.key], self.now)[0]

    def report(self, claimed: Claimed, outcome: Any, **said: Any) -> bool:
        return self.engine.report([claimed.report(outcome, **said)], self.now)[0]

    def to_eva(self) -> list[Claimed]:
        """Claims another message, which may go by e-mail and then by text, and comes first; and the rest."""
        person = {"id": "eva", "contacts": {"email": "eva@example.com", "sms": "+15550002"}}
        self.message_id = self.engine.send({"campaign_id": "c", "recipient": person}, NOW)["message_id"]
        return sorted(self.claim(), key=lambda claimed: claimed.recipient_id != "eva")

    def to_eva_for_nothing(self) -> None:
        """A message of a campaign without a budget, which nobody has to be asked about."""
        self.engine.put_campaign({"id": "free", "urgency": "high"})
        eva = {"id": "eva", "contacts": {"email": "eva@example.com"}}
        self.engine.send({"campaign_id": "free", "recipient": eva}, self.now)

    @contextmanager
    def without_ledger(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
        """Meanwhile the ledger does not answer."""

        def away(*_: object) -> None:
            raise ShardUnavailable("The ledger does not answer.")

        with monkeypatch.context() as patch:
            patch.setattr(self.engine.shards[0].budget_manager, "acquire", away)
            yield

    def crash(self) -> None:
        """The shard goes on from what it wrote down."""
        self.disk.write()
        self.disk.crash()

    @property
    def message(self) -> dict[str, Any]:
        shown = self.engine.message(self.message_id)
        assert shown is not None
        return shown
