"""The clients: all calls of the front end, and the one for data jobs, also from other processes."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
import uuid
from pathlib import Path

import pyarrow as pa
import pytest
import ray

from actors import Outreach
from actors.client import AsyncOutreach
from actors.cluster import Cluster, join, start
from engine.errors import ConfigurationError, Conflict, RequestError, UnknownCampaign
from engine.event import Event
from engine.scalars import Identifier
from tests.actors.requests import make_recipient, put, send, send_batch

GUIDE = Path(__file__).parents[2] / "docs" / "orchestrator-guide.md"
OTHER_PROCESS = """
import asyncio
from actors import Outreach
outreach = Outreach.connect("auto")
print(outreach.send("elsewhere", {"id": "elsewhere-1", "contacts": {"email": "ana@example.com"}})["status"])
print(asyncio.run(outreach.status_async("elsewhere"))["messages"]["scheduled"])
"""
OTHER_PROCESS_TIMEOUT_S = 60


async def test_campaigns_are_put_read_paused_and_listed(outreach: AsyncOutreach) -> None:
    with pytest.raises(UnknownCampaign):
        await outreach.get_campaign("client")
    await put(outreach, "client", name="First")
    campaign, paused = await outreach.get_campaign("client")
    assert (campaign.name, paused) == ("First", False)
    await outreach.pause("client")
    decision = await send(outreach, "client", make_recipient("client-1"))
    assert (decision["status"], decision["reason"]) == ("blocked", "campaign_inactive")
    assert (await outreach.status("client"))["state"] == "paused"
    await outreach.resume("client")
    assert (await send(outreach, "client", make_recipient("client-1")))["status"] == "scheduled"
    assert "client" in [one.id for one, _ in await outreach.list_campaigns()]
    with pytest.raises(Conflict):
        await put(outreach, "client", timezone="Asia/Kathmandu")
    assert (await outreach.get_campaign("client"))[0].name == "First"


async def test_sends_that_come_together_fare_each_on_its_own(outreach: AsyncOutreach) -> None:
    await put(outreach, "crowd", category="transactional")
    people = [make_recipient(f"crowd-{number}", *(["sms"] if number % 2 else [])) for number in range(40)]
    asks = [send(outreach, "crowd", person) for person in people]
    asks += [send(outreach, "crowd", person) for person in people[:3]]
    asks += [send(outreach, "no such crowd", person) for person in people[:3]]
    asks += [send(outreach, "crowd", person, dedup_key="other", explain=True) for person in people[:3]]
    answers = await asyncio.gather(*asks, return_exceptions=True)
    plain, again, unknown, other = answers[:40], answers[40:43], answers[43:46], answers[46:]
    assert [type(answer) for answer in unknown] == [UnknownCampaign] * 3
    for person, answer in zip([*people, *people[:3]], [*plain, *other], strict=True):
        assert isinstance(answer, dict)
        assert (answer["recipient_id"], answer["status"]) == (person["id"], "scheduled")
        assert answer["channel"] in person["contacts"]
        assert ("explanation" in answer) == (answer in other)
    for person, answer in zip(people, again, strict=False):
        assert isinstance(answer, dict)
        assert (answer["recipient_id"], answer["reason"]) == (person["id"], "duplicate")


async def test_an_unknown_campaign_is_said_even_where_there_is_nobody_to_decide_for(outreach: AsyncOutreach) -> None:
    for recipients in ([make_recipient("nobody-1")], [{"id": ""}], []):
        with pytest.raises(UnknownCampaign):
            await send_batch(outreach, "no such campaign", recipients)
    with pytest.raises(UnknownCampaign):
        await send(outreach, "no such campaign", make_recipient("nobody-1"))
    for call in (outreach.status, outreach.pause, outreach.resume, outreach.get_campaign):
        with pytest.raises(UnknownCampaign):
            await call("no such campaign")
    with pytest.raises(RequestError):
        await outreach.send_batch_body(b"{")


async def test_results_of_all_shards_come_in_the_order_of_the_request(outreach: AsyncOutreach) -> None:
    await put(outreach, "order", urgency="high")
    ids = [f"order-{index}" for index in range(500)]
    answer = await send_batch(outreach, "order", [make_recipient(one) for one in ids])
    assert [result["recipient_id"] for result in answer["results"]] == ids
    status = await outreach.status("order")
    assert status["messages"]["scheduled"] == answer["counts"]["scheduled"] == 500


async def test_recipients_messages_and_events_find_their_shard(outreach: AsyncOutreach) -> None:
    await put(outreach, "places", urgency="high")
    decisions = [await send(outreach, "places", make_recipient(f"places-{index}")) for index in range(12)]
    for decision in decisions:
        message = await outreach.message(decision["message_id"])
        assert message is not None
        assert message["recipient_id"] == decision["recipient_id"]
    names = [decisions[3]["message_id"], "m-0123456789abcdef", decisions[8]["message_id"], "no message"]
    events = [
        Event(id=Identifier(f"places-{place}"), type="opened", message_id=Identifier(name))
        for place, name in enumerate(names)
    ]
    first = await outreach.events(events)
    assert [(one["id"], one["status"]) for one in first] == [
        ("places-0", "applied"), ("places-1", "unknown"), ("places-2", "applied"), ("places-3", "unknown")
    ]  # fmt: skip
    assert [one["status"] for one in await outreach.events(events)] == ["seen", "unknown", "seen", "unknown"]
    assert await outreach.message("no message") is None
    assert await outreach.recipient("places-nobody") is None
    await outreach.put_recipient("places-13", b'{"device": "mobile", "contacts": {"email": "ana@example.com"}}')
    await outreach.suppress("places-13", "email", None, "asked for it")
    recipient = await outreach.recipient("places-13")
    assert recipient is not None
    assert recipient["recipient"]["device"] == "mobile"
    assert [one["channel"] for one in recipient["suppressions"]] == ["email"]
    assert await outreach.lift("places-13", "email")
    assert not await outreach.lift("places-13", "email")


async def test_the_manual_clock_is_the_clusters(outreach: AsyncOutreach, cluster: Cluster) -> None:
    now = await outreach.now()
    await outreach.set_clock(now + 60)
    assert await cluster.client().now() == now + 60
    with pytest.raises(Conflict):
        await outreach.set_clock(now)


async def test_every_shard_is_ready(outreach: AsyncOutreach, cluster: Cluster) -> None:
    assert await outreach.ready() == dict.fromkeys(range(len(cluster.shards)), True)


def test_a_data_job_sends_a_table(cluster: Cluster) -> None:
    asyncio.run(put(cluster.client(), "table", urgency="high"))
    outreach = Outreach.connect()
    contacts = [{"email": "ana@example.com"}, {"sms": "+15550100001"}, None]
    table = pa.table({"id": ["table-1", "table-2", "table-3"], "contacts": contacts})
    dry = outreach.send_batch("table", table, dry_run=True)
    assert dry["channel"].to_pylist() == ["email", "sms", None]
    assert b"batch_id" not in dry.schema.metadata
    decisions = asyncio.run(outreach.send_batch_async("table", table.to_reader()))
    assert decisions["channel"].to_pylist() == ["email", "sms", None]
    assert outreach.status("table")["messages"]["scheduled"] == 2
    (example,) = re.findall(r"```python\n(.*?)```", GUIDE.read_text("utf-8"), re.DOTALL)
    asyncio.run(put(cluster.client(), "spring"))
    names = {"pyarrow": pa, "outreach": outreach}
    exec(example, names)
    assert names["decisions"]["recipient_id"].to_pylist() == ["c-5", "c-6"]
    with pytest.raises(RequestError, match="urgency"):
        outreach.send_batch("table", table, urgency="very")
    outreach.close()


def test_a_data_job_may_ask_again(cluster: Cluster) -> None:
    asyncio.run(put(cluster.client(), "again", urgency="high"))
    outreach, other = Outreach.connect(), Outreach.connect()
    table = pa.table(
        {"id": ["again-1", "again-2"], "contacts": [{"email": "ana@example.com"}, {"sms": "+15550100001"}]}
    )
    first = outreach.send_batch("again", table, idempotency_key="table-1")
    assert first["status"].to_pylist() == ["scheduled", "scheduled"]
    assert other.send_batch("again", table, idempotency_key="table-1").equals(first)
    cut = pa.concat_tables([table.slice(0, 1), table.slice(1)])
    assert other.send_batch("again", cut, idempotency_key="table-1").equals(first)
    assert outreach.send_batch("again", table)["reason"].to_pylist() == ["duplicate", "duplicate"]
    with pytest.raises(RequestError) as refused:
        outreach.send_batch("again", table, idempotency_key="table-1", urgency="low")
    assert refused.value.status == 422
    people = [make_recipient("again-3", "email")]
    listed = outreach.send_batch("again", people, idempotency_key="list-1")
    assert other.send_batch("again", people, idempotency_key="list-1") == listed
    one = outreach.send("again", make_recipient("again-4", "email"), idempotency_key="one-1")
    assert other.send("again", make_recipient("again-4", "email"), idempotency_key="one-1") == one
    options = {"urgency": "high", "channels": ["email"]}
    ordered = outreach.send_batch("again", table, idempotency_key="table-2", **options)
    backwards = dict(reversed(options.items()))
    assert other.send_batch("again", table, idempotency_key="table-2", **backwards).equals(ordered)
    for wrong in ("", "two words", uuid.uuid4()):
        with pytest.raises(RequestError, match="idempotency_key"):
            outreach.send("again", make_recipient("again-4", "email"), idempotency_key=wrong)
    assert outreach.status("again")["messages"]["scheduled"] == 4
    outreach.close()
    other.close()


def test_a_data_job_sends_in_plain_calls_and_in_coroutines(cluster: Cluster) -> None:
    asyncio.run(put(cluster.client(), "job", urgency="high"))
    outreach = Outreach.connect()
    assert outreach.send("job", make_recipient("job-1"), channels=["sms"])["channel"] == "sms"
    answer = outreach.send_batch("job", [make_recipient("job-1"), make_recipient("job-2")])
    assert [result["reason"] for result in answer["results"]] == ["duplicate", None]

    async def together() -> list[object]:
        return await asyncio.gather(
            outreach.send_async("job", make_recipient("job-3")),
            outreach.send_batch_async("job", [make_recipient("job-4")]),
            outreach.status_async("job"),
        )

    one, batch, _ = asyncio.run(together())
    assert one["status"] == batch["results"][0]["status"] == "scheduled"  # type: ignore[index]
    assert outreach.status("job")["messages"]["scheduled"] == 4
    with pytest.raises(TypeError, match="takes a list of recipients"):
        outreach.send_batch("job", ({"id": "job-5"},))  # type: ignore[arg-type]
    with pytest.raises(RequestError):
        outreach.send("job", make_recipient("job-6"), urgency="whenever")
    outreach.close()


def test_a_task_of_the_same_ray_sends(cluster: Cluster) -> None:
    asyncio.run(put(cluster.client(), "task", urgency="high"))

    @ray.remote(num_cpus=0)
    def work(numbers: list[int]) -> list[str]:
        outreach = Outreach.connect()
        answer = outreach.send_batch("task", [make_recipient(f"task-{number}") for number in numbers])
        return [result["status"] for result in answer["results"]]

    assert ray.get([work.remote([1, 2]), work.remote([3])], timeout=OTHER_PROCESS_TIMEOUT_S) == [
        ["scheduled", "scheduled"], ["scheduled"]
    ]  # fmt: skip


def test_another_process_of_the_same_user_joins(cluster: Cluster) -> None:
    asyncio.run(put(cluster.client(), "elsewhere", urgency="high"))
    run = subprocess.run(
        [sys.executable, "-c", OTHER_PROCESS],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        env={**os.environ, "RAY_ADDRESS": cluster.address},
        timeout=OTHER_PROCESS_TIMEOUT_S,
        check=False,
    )
    assert run.stdout.split() == ["scheduled", "1"], run.stderr


def test_a_second_cluster_in_the_same_ray_is_refused(cluster: Cluster) -> None:
    with pytest.raises(ConfigurationError, match="no Madan Sara runs yet"):
        start(cluster.settings, "auto")
    assert join().settings == cluster.settings


def test_ray_listens_on_loopback_only_and_its_token_is_the_users_alone(cluster: Cluster) -> None:
    assert cluster.address.startswith("127.0.0.1:")
    assert (Path.home() / ".ray" / "auth_token").stat().st_mode & 0o077 == 0
