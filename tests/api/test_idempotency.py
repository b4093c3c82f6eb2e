"""Idempotency-Key over real HTTP: a repeated request is answered as the first time, and done once."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from ray._private import worker

from engine.scalars import Instant
from tests.api.front import Front, problem_of

COPIES = 100
DAY_S = 24 * 3600
REPLAYED = "Idempotent-Replayed"


def put_campaign(client: httpx.Client, campaign_id: str, **fields: Any) -> None:
    assert client.put(f"/campaigns/{campaign_id}", json={"urgency": "high"} | fields).status_code == 200


def person(recipient_id: str, **fields: Any) -> dict[str, Any]:
    return {"id": recipient_id, "contacts": {"email": "ana@example.com"}} | fields


def post(client: httpx.Client, path: str, key: str, body: object) -> httpx.Response:
    content = body if isinstance(body, bytes) else msgspec.json.encode(body)
    headers = {"Idempotency-Key": key, "Content-Type": "application/json"}
    return client.post(path, content=content, headers=headers)


def scheduled(client: httpx.Client, campaign_id: str) -> int:
    return int(client.get(f"/campaigns/{campaign_id}/status").json()["messages"]["scheduled"])


@pytest.fixture(scope="module")
def clients(fronts: Callable[..., Front]) -> Any:
    """Of two front ends, each with connections for all copies."""
    limits = httpx.Limits(max_connections=COPIES)
    both = [httpx.Client(base_url=fronts().url + "/api/v1/outreach", timeout=60, limits=limits) for _ in range(2)]
    yield both
    for client in both:
        client.close()


def copies(clients: list[httpx.Client], path: str, key: str, body: object) -> list[httpx.Response]:
    """What copies that are sent at once, over both front ends, are answered."""
    with ThreadPoolExecutor(COPIES) as threads:
        return list(threads.map(lambda number: post(clients[number % 2], path, key, body), range(COPIES)))


def test_a_hundred_copies_of_a_batch_decide_once(clients: list[httpx.Client]) -> None:
    put_campaign(clients[0], "copied", limits={"daily_cap": 100, "weekly_cap": 200})
    people = [person(f"copied-{number}") for number in range(50)] + [{"id": "copied-x", "device": "abacus"}]
    answers = copies(clients, "/send-batch", "copied", {"campaign_id": "copied", "recipients": people})
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.content for answer in answers}) == 1
    assert answers[0].json()["counts"] == {"scheduled": 50, "blocked": 0, "invalid": 1}
    assert scheduled(clients[0], "copied") == 50
    replayed = Counter(answer.headers.get(REPLAYED) for answer in answers)
    # Each of the four shards may have decided for another copy, the one that came first there.
    assert COPIES - 4 <= replayed["true"] < COPIES


def test_a_hundred_copies_of_a_send_decide_once(clients: list[httpx.Client]) -> None:
    put_campaign(clients[0], "copied-one", limits={"daily_cap": 100, "weekly_cap": 200})
    answers = copies(clients, "/send", "copied-one", {"campaign_id": "copied-one", "recipient": person("copied-one")})
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.content for answer in answers}) == 1
    assert answers[0].json()["status"] == "scheduled"
    assert scheduled(clients[0], "copied-one") == 1
    assert [answer.headers.get(REPLAYED) for answer in answers].count(None) == 1


def test_a_hundred_copies_of_events_are_applied_once(clients: list[httpx.Client]) -> None:
    put_campaign(clients[0], "copied-events", conversion_value="5")
    sent = [
        clients[0].post("/send", json={"campaign_id": "copied-events", "recipient": person(f"copied-events-{number}")})
        for number in range(8)
    ]
    events = [
        {"id": f"copied-events-{number}", "type": "converted", "message_id": one.json()["message_id"]}
        for number, one in enumerate(sent)
    ]
    events += [{"id": "copied-events-x", "type": "glimpsed", "message_id": "m-1"}]
    events += [{"id": "copied-events-y", "type": "opened", "message_id": "m-0000000000000001"}]
    answers = copies(clients, "/events", "copied-events", {"events": events})
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.content for answer in answers}) == 1
    statuses = [result["status"] for result in answers[0].json()["results"]]
    assert statuses == ["applied"] * 8 + ["invalid", "unknown"]
    assert [answer.headers.get(REPLAYED) for answer in answers].count(None) == 1
    status = clients[1].get("/campaigns/copied-events/status").json()
    assert status["performance"]["revenue"] == "40.00"
    again = clients[0].post("/events", json={"events": events}).json()["results"]
    assert [result["status"] for result in again] == ["seen"] * 8 + ["invalid", "unknown"]


def test_one_event_id_for_many_messages_is_applied_once(clients: list[httpx.Client]) -> None:
    put_campaign(clients[0], "one-id", conversion_value="5")
    sent = [
        clients[0].post("/send", json={"campaign_id": "one-id", "recipient": person(f"one-id-{number}")}).json()
        for number in range(COPIES)
    ]

    def apply(number: int) -> str:
        event = {"id": "one-id", "type": "converted", "message_id": sent[number]["message_id"]}
        answer = clients[number % 2].post("/events", json={"events": [event]})
        return str(answer.json()["results"][0]["status"])

    with ThreadPoolExecutor(COPIES) as threads:
        assert Counter(threads.map(apply, range(COPIES))) == {"applied": 1, "seen": COPIES - 1}
    assert clients[0].get("/campaigns/one-id/status").json()["performance"]["revenue"] == "5.00"


def test_pausing_again_under_a_key_changes_nothing(clients: list[httpx.Client]) -> None:
    put_campaign(clients[0], "pausing-once")
    answers = copies(clients, "/campaigns/pausing-once/pause", "pausing-once", b"")
    assert len({answer.content for answer in answers}) == 1
    assert [answer.headers.get(REPLAYED) for answer in answers].count(None) == 1
    assert post(clients[0], "/campaigns/pausing-once/resume", "resuming-once", b"").json()["state"] == "active"
    again = post(clients[1], "/campaigns/pausing-once/pause", "pausing-once", b"")
    assert (again.content, again.headers[REPLAYED]) == (answers[0].content, "true")
    assert again.json()["state"] == "paused"
    assert clients[0].get("/campaigns/pausing-once").json()["state"] == "active"
    problem_of(post(clients[0], "/campaigns/pausing-once/resume", "pausing-once", b""), 422)
    problem_of(post(clients[0], "/campaigns/pausing-once/pause", "pausing-once", b"{}"), 422)


def test_a_key_is_bound_to_path_and_body(client: httpx.Client) -> None:
    put_campaign(client, "bound")
    body = msgspec.json.encode({"campaign_id": "bound", "recipients": [person("bound-1")]})
    first = post(client, "/send-batch", "bound", body)
    assert (first.status_code, REPLAYED in first.headers) == (200, False)
    again = post(client, "/send-batch", "bound", body)
    assert (again.content, again.headers[REPLAYED]) == (first.content, "true")
    for path, other in [
        ("/send-batch", body + b" "),
        ("/send", {"campaign_id": "bound", "recipient": person("bound-1")}),
        ("/events", {"events": []}),
    ]:
        problem = problem_of(post(client, path, "bound", other), 422)
        assert "Idempotency-Key" in problem["detail"]
    assert post(client, "/send-batch", "bound-2", body).json()["reasons"] == {"duplicate": 1}


def test_a_batch_of_nobody_and_a_blocked_send_are_kept_too(client: httpx.Client) -> None:
    put_campaign(client, "nobody")
    for recipients in ([], [{"id": ""}]):
        body = {"campaign_id": "nobody", "recipients": recipients}
        first, again = (post(client, "/send-batch", f"nobody-{len(recipients)}", body) for _ in range(2))
        assert (again.content, first.headers.get(REPLAYED), again.headers[REPLAYED]) == (first.content, None, "true")
    body = {"campaign_id": "nobody", "recipient": {"id": "nobody-1"}}
    assert post(client, "/send", "nobody", body).json()["reason"] == "no_viable_channel"
    client.put("/recipients/nobody-1", json={"contacts": {"email": "ana@example.com"}})
    assert post(client, "/send", "nobody", body).json()["reason"] == "no_viable_channel"


def test_what_failed_is_not_kept(client: httpx.Client) -> None:
    sends = {"campaign_id": "failing", "recipient": person("failing-1")}
    batch = {"campaign_id": "failing", "recipients": [person("failing-2")]}
    for path, key, body, status in [
        ("/send", "failing", sends, 404),
        ("/send-batch", "failing", batch, 404),
        ("/send-batch", "failing", {"campaign_id": "failing", "recipients": []}, 404),
        ("/campaigns/failing/pause", "failing", b"", 404),
        ("/send", "failing", sends | {"recipient": {"id": "failing-1", "device": "abacus"}}, 422),
        ("/send-batch", "failing", b"{", 400),
        ("/events", "failing", {"events": 1}, 400),
    ]:
        problem_of(post(client, path, key, body), status)
    put_campaign(client, "failing")
    assert post(client, "/send", "failing", sends).json()["status"] == "scheduled"


def test_a_wrong_key_is_refused(client: httpx.Client) -> None:
    put_campaign(client, "wrong-key")
    for key in ["", "x" * 256, "a b", "é", "a\tb"]:
        for path in ("/send", "/send-batch", "/events", "/campaigns/wrong-key/pause"):
            answer = client.post(path, content=b"{}", headers=[(b"Idempotency-Key", key.encode())])
            assert "Idempotency-Key takes" in problem_of(answer, 400)["detail"]
    twice = [("Idempotency-Key", "a"), ("Idempotency-Key", "b")]
    assert "takes one" in problem_of(client.post("/send", content=b"{}", headers=twice), 400)["detail"]
    assert post(client, "/campaigns/wrong-key/pause", "x" * 255, b"").status_code == 200
    assert client.get("/campaigns/wrong-key", headers={"Idempotency-Key": ""}).status_code == 200


def test_the_answers_of_an_erased_person_are_forgotten(client: httpx.Client) -> None:
    put_campaign(client, "forgetting")
    batch = {"campaign_id": "forgetting", "recipients": [person(f"forgetting-{number}") for number in range(20)]}
    one = {"campaign_id": "forgetting", "recipient": person("forgetting-7")}
    other = {"campaign_id": "forgetting", "recipient": person("forgetting-8")}
    for path, key, body in [("/send-batch", "f-1", batch), ("/send", "f-2", one), ("/send", "f-3", other)]:
        assert post(client, path, key, body).status_code == 200
    assert client.delete("/recipients/forgetting-7").status_code == 204
    for path, key, body in [("/send-batch", "f-1", batch), ("/send", "f-2", one)]:
        assert "erased" in problem_of(post(client, path, key, body), 409)["detail"]
    assert post(client, "/send", "f-3", other).headers[REPLAYED] == "true"
    assert client.get("/recipients/forgetting-7").status_code == 404


def test_a_key_is_free_again_after_a_day(client: httpx.Client, fronts: Callable[..., Front]) -> None:
    put_campaign(client, "a-day", limits={"lookback_hours": 1})
    body = {"campaign_id": "a-day", "recipient": person("a-day")}
    first = post(client, "/send", "a-day", body)
    now = Instant.read(first.json()["scheduled_at"])
    front = fronts(clock="manual")

    def set_clock(instant: int) -> None:
        clock = {"now": Instant(instant).write()}
        assert httpx.put(front.url + "/api/v1/clock", json=clock).status_code == 200

    set_clock(now + DAY_S - 1)
    assert post(client, "/send", "a-day", body).content == first.content
    set_clock(now + DAY_S)
    second = post(client, "/send", "a-day", body)
    assert REPLAYED not in second.headers
    assert second.json()["message_id"] not in (None, first.json()["message_id"])
    problem_of(post(client, "/send", "a-day", body | {"urgency": "low"}), 422)


def test_nothing_names_an_erased_person(
    client: httpx.Client, default_front: Front, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    put_campaign(client, "silence")
    name = "Zenobia-Speaking"
    asked = {
        "campaign_id": "silence",
        "dedup_key": f"offer-for-{name}",
        "content": {"dear": name},
        "recipient": person(name, contacts={"email": f"{name}@example.com"}),
    }
    sent = post(client, "/send", f"key-of-{name}", asked).json()
    batch = {"campaign_id": "silence", "recipients": [asked["recipient"], person("silence-2")], "explain": True}
    assert post(client, "/send-batch", f"batch-of-{name}", batch).status_code == 200
    event = {"id": f"opened-by-{name}", "type": "opened", "message_id": sent["message_id"]}
    assert post(client, "/events", f"events-of-{name}", {"events": [event]}).json()["results"][0]["status"] == "applied"
    client.put(f"/recipients/{name}/suppressions/sms", json={"reason": f"{name} called"})
    assert client.delete(f"/recipients/{name}").status_code == 204
    answers = [
        client.get(f"/recipients/{name}"),
        client.get(f"/messages/{sent['message_id']}"),
        client.delete(f"/recipients/{name}"),
        client.get("/campaigns/silence/status"),
        client.get("/recipients/silence-2"),
        post(client, "/send", f"key-of-{name}", asked),
        post(client, "/send-batch", f"batch-of-{name}", batch),
        httpx.get(default_front.url + "/metrics"),
    ]
    assert [answer.status_code for answer in answers] == [404, 404, 404, 200, 200, 409, 409, 200]
    assert [answer.url for answer in answers if name in answer.text] == []
    # The customer's own, and what `configure_logging` silences: lines with a request's path.
    others = ("httpx", "httpcore", "uvicorn")
    ours = [record.getMessage() for record in caplog.records if not record.name.startswith(others)]
    assert [line for line in ours if name in line] == []
    logs = list(Path(worker._global_node.get_logs_dir_path()).rglob("*"))
    assert any(path.name.startswith("worker-") for path in logs)
    assert [path for path in logs if path.is_file() and name.encode() in path.read_bytes()] == []
    # Their stop holds again where they are named again, and says nothing else.
    again = client.put(f"/recipients/{name}", json={}).json()
    assert again["suppressions"] == [{"channel": "sms", "until": None, "reason": None}]
