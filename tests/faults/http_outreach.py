"""The calls of the client that `told` and `kills` make, over the front end's HTTP.

A front end that is not there, or dies before it has answered, is `ShardUnavailable` like a shard that does: whoever
asked does not know what became of it, and asks again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn

import httpx
import msgspec

from actors.keyed import Key, KeyedAnswer
from api.context import encoded
from engine.errors import Conflict, Overloaded, ShardUnavailable
from engine.event import Event
from engine.model import Campaign

PREFIX = "/api/v1/outreach"
ANSWER_WITHIN_S = 60.0
JSON = {"Content-Type": "application/json"}


class HttpOutreach:
    """Lives on one event loop. `where` tells the front end's address, which changes with its lives; None while it has
    none."""

    def __init__(self, where: Callable[[], str | None]) -> None:
        self._where = where
        self._http = httpx.AsyncClient(timeout=ANSWER_WITHIN_S, trust_env=False)
        self.keyed = self
        """For the calls with a key are no others here."""
        self.under_way = 0
        """Requests with a key, now."""

    async def close(self) -> None:
        await self._http.aclose()

    async def send_batch_body(self, key: Key, body: bytes) -> KeyedAnswer:
        return await self._send(key, body)

    async def send_body(self, key: Key, body: bytes) -> KeyedAnswer:
        return await self._send(key, body)

    async def put_campaign(self, campaign: Campaign) -> None:
        await self._ask("PUT", f"{PREFIX}/campaigns/{campaign.id}", encoded(campaign))

    async def events(self, events: Sequence[Event]) -> list[dict[str, Any]]:
        rows = [{"id": event.id, "type": event.type, "message_id": event.message_id} for event in events]
        answer = await self._ask("POST", f"{PREFIX}/events", msgspec.json.encode({"events": rows}))
        return list(answer.json()["results"])

    async def message(self, message_id: str) -> dict[str, Any] | None:
        return await self._found("GET", message_id)

    async def cancel(self, message_id: str) -> dict[str, Any] | None:
        return await self._found("DELETE", message_id)

    async def status(self, campaign_id: str) -> dict[str, Any]:
        return dict((await self._ask("GET", f"{PREFIX}/campaigns/{campaign_id}/status")).json())

    async def ready(self) -> dict[int, bool]:
        try:
            await self._ask("GET", "/health/ready")
        except ShardUnavailable:
            return {0: False}
        return {0: True}

    async def _send(self, key: Key, body: bytes) -> KeyedAnswer:
        self.under_way += 1
        try:
            answer = await self._ask("POST", key.path, body, {"Idempotency-Key": key.text})
        finally:
            self.under_way -= 1
        return KeyedAnswer(answer.content, answer.headers.get("Idempotent-Replayed") == "true", [])

    async def _found(self, method: str, message_id: str) -> dict[str, Any] | None:
        answer = await self._ask(method, f"{PREFIX}/messages/{message_id}")
        return None if answer.status_code == 404 else dict(answer.json())

    async def _ask(
        self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> httpx.Response:
        """The answer, which is a success or 404. Raises what the client of a cluster would."""
        url = self._where()
        if url is None:
            raise ShardUnavailable("The front end is not there.")
        try:
            answer = await self._http.request(method, url + path, content=body, headers={**JSON, **(headers or {})})
        except httpx.TransportError as error:
            raise ShardUnavailable(f"The front end did not answer: {type(error).__name__}.") from None
        if answer.is_success or answer.status_code == 404:
            return answer
        _refuse(answer)


def _refuse(answer: httpx.Response) -> NoReturn:
    detail = answer.json()["detail"]
    assert detail, f"refused without a word: {answer.status_code}"
    if answer.status_code == 409:
        raise Conflict(detail)
    if answer.status_code in (429, 503):
        assert int(answer.headers["Retry-After"]) > 0, "nobody says when to ask again"
        raise Overloaded(detail) if answer.status_code == 429 else ShardUnavailable(detail)
    raise AssertionError(f"{answer.status_code}: {detail}")
