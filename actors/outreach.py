"""Outreach: the client for data jobs, synchronous, with asyncio twins."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar, overload

import msgspec

from actors.client import AsyncOutreach
from actors.cluster import join
from actors.keyed import Key
from actors.tables import ArrowTable, stream_of, table_of
from engine.form import JSON, Form

if TYPE_CHECKING:
    import pyarrow  # type: ignore[import-untyped]

__all__ = ["Outreach"]

T = TypeVar("T")

Recipients: TypeAlias = list[dict[str, Any]] | ArrowTable


class Outreach:
    """Sends for campaigns of a running cluster.

    >>> outreach = Outreach.connect()  # doctest: +SKIP
    >>> outreach.send("spring", {"id": "c-1", "contacts": {"email": "ana@example.com"}})  # doctest: +SKIP
    {'message_id': 'm-…', 'status': 'scheduled', …}

    Options are the fields of the request beside its recipients, such as `urgency`, `channels`, `send_at`; answers
    are as over HTTP. With `idempotency_key` whoever asks again, about the same people with the same options, is
    answered the same again, from any process; only those who were unavailable are decided then. Raises
    `engine.errors.MadanSaraError`, which has the HTTP status that it would be. The work is done on an event loop of its
    own, so the coroutines may be awaited on any other.
    """

    def __init__(self, client: AsyncOutreach) -> None:
        """`connect` makes one."""
        self._client = client
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="outreach", daemon=True)
        self._thread.start()

    @classmethod
    def connect(cls, address: str = "auto") -> Outreach:
        """Joins the cluster at `address`: `auto` (the one of this machine, or of the Ray job around) or HOST:PORT."""
        return cls(join(address))

    def send(self, campaign_id: str, recipient: dict[str, Any], **options: Any) -> dict[str, Any]:
        """Decides for one recipient: the decision."""
        return self._submit(self._send(campaign_id, recipient, options)).result()

    async def send_async(self, campaign_id: str, recipient: dict[str, Any], **options: Any) -> dict[str, Any]:
        """As `send`."""
        return await asyncio.wrap_future(self._submit(self._send(campaign_id, recipient, options)))

    @overload
    def send_batch(self, campaign_id: str, recipients: list[dict[str, Any]], **options: Any) -> dict[str, Any]: ...

    @overload
    def send_batch(self, campaign_id: str, recipients: ArrowTable, **options: Any) -> pyarrow.Table: ...

    def send_batch(self, campaign_id: str, recipients: Recipients, **options: Any) -> Any:
        """Decides for a list of recipients: counts, and the decisions in the order of the list.

        For an Arrow table, a row a recipient with the fields as columns, the answer is a pyarrow table, a row a
        decision; its schema's metadata has `batch_id`, `counts` and `reasons`.
        """
        return self._submit(self._send_batch(campaign_id, recipients, options)).result()

    @overload
    async def send_batch_async(
        self, campaign_id: str, recipients: list[dict[str, Any]], **options: Any
    ) -> dict[str, Any]: ...

    @overload
    async def send_batch_async(self, campaign_id: str, recipients: ArrowTable, **options: Any) -> pyarrow.Table: ...

    async def send_batch_async(self, campaign_id: str, recipients: Recipients, **options: Any) -> Any:
        """As `send_batch`."""
        return await asyncio.wrap_future(self._submit(self._send_batch(campaign_id, recipients, options)))

    def status(self, campaign_id: str) -> dict[str, Any]:
        """A campaign's status."""
        return self._submit(self._client.status(campaign_id)).result()

    async def status_async(self, campaign_id: str) -> dict[str, Any]:
        """As `status`."""
        return await asyncio.wrap_future(self._submit(self._client.status(campaign_id)))

    def close(self) -> None:
        """Ends the client and its event loop. The cluster goes on."""
        self._submit(self._client.close()).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _submit(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    async def _send(self, campaign_id: str, recipient: dict[str, Any], options: dict[str, Any]) -> dict[str, Any]:
        key = _taken_key(options, "send")
        body = msgspec.json.encode({"campaign_id": campaign_id, "recipient": recipient, **_in_order(options)})
        if key is not None:
            return _decoded((await self._client.keyed.send_body(key, body)).body)
        return _decoded((await self._client.send_body(body))[0])

    async def _send_batch(self, campaign_id: str, recipients: Recipients, options: dict[str, Any]) -> Any:
        key = _taken_key(options, "send_batch")
        if isinstance(recipients, ArrowTable):
            body = await asyncio.to_thread(stream_of, recipients)
            beside = msgspec.json.encode({"campaign_id": campaign_id, **_in_order(options)})
            if key is not None:  # it is bound to them, too
                key = key._replace(path=f"{key.path} {beside.decode()}")
            return await asyncio.to_thread(table_of, await self._answer(key, body, Form(beside, arrow_answer=True)))
        if not isinstance(recipients, list):
            raise TypeError(
                f"send_batch takes a list of recipients, each a dict, or a table; not a {type(recipients).__name__}"
            )
        body = msgspec.json.encode({"campaign_id": campaign_id, "recipients": recipients, **_in_order(options)})
        return _decoded(await self._answer(key, body, JSON))

    async def _answer(self, key: Key | None, body: bytes, form: Form) -> bytes:
        if key is not None:
            return (await self._client.keyed.send_batch_body(key, body, form)).body
        return (await self._client.send_batch_body(body, form))[0]


def _taken_key(options: dict[str, Any], path: str) -> Key | None:
    """Takes the key out of the options. Raises `RequestError` (400) for one that is none."""
    text = options.pop("idempotency_key", None)
    return None if text is None else Key.checked(text, path, "idempotency_key")


def _in_order(options: dict[str, Any]) -> dict[str, Any]:
    """By name: a key is bound to what they say, not to the order in which they are given."""
    return dict(sorted(options.items()))


def _decoded(text: bytes) -> dict[str, Any]:
    decoded: dict[str, Any] = msgspec.json.decode(text)
    return decoded
