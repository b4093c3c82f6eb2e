"""Arrow over real HTTP: recipients in, decisions out, each with JSON at the other end as well."""

from __future__ import annotations

import json
import random
from typing import Any

import httpx
import pytest

from api.media import ARROW, JSON
from tests.api.front import problem_of
from tests.engine.streams import as_json, decisions_of, stream_of, table_of

REPLAYED = "Idempotent-Replayed"
PROBLEM_DETAIL_MAX = 600


def put_campaign(client: httpx.Client, campaign_id: str, **fields: Any) -> None:
    assert client.put(f"/campaigns/{campaign_id}", json={"urgency": "high"} | fields).status_code == 200


def people(name: str, count: int) -> list[dict[str, Any]]:
    return [{"id": f"{name}-{number}", "contacts": {"email": "ana@example.com"}} for number in range(count)]


def post(
    client: httpx.Client, recipients: list[dict[str, Any]] | bytes, query: dict[str, str], **headers: str
) -> httpx.Response:
    content = recipients if isinstance(recipients, bytes) else stream_of(table_of(recipients), 7)
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    headers = {"Content-Type": ARROW, "Accept": "*/*"} | named
    return client.post("/send-batch", content=content, params=query, headers=headers)


def test_arrow_in_and_out(client: httpx.Client) -> None:
    put_campaign(client, "arrow")
    batch = [*people("arrow", 20), {"id": "arrow-x", "device": "toaster"}, {"id": "arrow-y"}]
    answer = post(client, batch, {"campaign_id": "arrow"})
    assert (answer.status_code, answer.headers["content-type"]) == (200, ARROW)
    table = decisions_of(answer.content)
    assert table["recipient_id"].to_pylist() == [one["id"] for one in batch]
    assert table["status"].to_pylist() == ["scheduled"] * 20 + ["invalid", "blocked"]
    assert table["errors"].to_pylist()[20][0]["path"] == "/recipients/20/device"
    assert json.loads(table.schema.metadata[b"counts"]) == {"scheduled": 20, "blocked": 1, "invalid": 1}
    assert json.loads(table.schema.metadata[b"reasons"]) == {"no_viable_channel": 1}
    message = client.get(f"/messages/{table['message_id'][0]}").json()
    assert message["recipient_id"] == "arrow-0"
    assert message["scheduled_at"] == as_json(table)[0]["scheduled_at"]
    assert client.get("/campaigns/arrow/status").json()["messages"]["scheduled"] == 20


def test_a_dry_run_says_the_same_in_every_form(client: httpx.Client) -> None:
    put_campaign(client, "forms")
    batch = [*people("forms", 20), {"id": "forms-x", "device": "toaster"}]
    options = {"campaign_id": "forms", "dry_run": True}
    plain = client.post("/send-batch", json=options | {"recipients": batch}).json()
    query = {"campaign_id": "forms", "dry_run": "true"}
    assert post(client, batch, query, Accept=JSON).json() == plain
    for answer in (
        post(client, batch, query),
        client.post("/send-batch", json=options | {"recipients": batch}, headers={"Accept": ARROW}),
    ):
        table = decisions_of(answer.content)
        assert as_json(table) == plain["results"]
        assert b"batch_id" not in table.schema.metadata


@pytest.mark.parametrize(
    ("accept", "media_type"),
    [
        ("*/*", ARROW),
        ("", ARROW),
        ("application/*;q=0.5", ARROW),
        (JSON, JSON),
        (f"{ARROW};q=0.5, {JSON}", JSON),
        (f"{ARROW};q=0.5, {JSON};q=0.4", ARROW),
        (f"{ARROW};q=0, */*", JSON),
        ("text/html", JSON),
        ("nonsense;;q=x,,", JSON),
    ],
)
def test_accept_chooses_the_answer(client: httpx.Client, accept: str, media_type: str) -> None:
    put_campaign(client, "accepting")
    answer = post(client, people("accepting", 1), {"campaign_id": "accepting", "dry_run": "true"}, Accept=accept)
    assert answer.headers["content-type"] == media_type
    if media_type == JSON and accept != "text/html":
        body = {"campaign_id": "accepting", "dry_run": True, "recipients": []}
        assert client.post("/send-batch", json=body, headers={"Accept": "*/*"}).headers["content-type"] == JSON


def test_options_in_the_query(client: httpx.Client) -> None:
    put_campaign(client, "options", channels={"allowed": ["email", "sms"]})
    recipients = [{"id": "options-1", "contacts": {"email": "ana@example.com", "sms": "+50937001234"}}]
    query = {"campaign_id": "options", "channels": "sms,twitter", "content": '{"dear": "ana"}', "dedup_key": "k é"}
    table = decisions_of(post(client, recipients, query | {"explain": "true"}).content)
    assert table["channel"].to_pylist() == ["sms"]
    assert json.loads(table["explanation"][0].as_py())["channels"]["email"]["excluded_by"] == "not_requested"
    assert client.get(f"/messages/{table['message_id'][0]}").json()["dedup_key"] == "k é"


@pytest.mark.parametrize(
    ("query", "path"),
    [
        ("", "/campaign_id"),
        ("campaign_id=", "/campaign_id"),
        ("campaign_id=a&campaign_id=a", "/campaign_id"),
        ("campaign_id=a&urgency=very", "/urgency"),
        ("campaign_id=a&channels=fax", "/channels"),
        ("campaign_id=a&channels=", "/channels"),
        ("campaign_id=a&send_at=tomorrow", "/send_at"),
        ("campaign_id=a&dry_run=1", "/dry_run"),
        ("campaign_id=a&explain=True", "/explain"),
        ("campaign_id=a&content=[]", "/content"),
        ("campaign_id=a&content={", "/content"),
        ("campaign_id=a&content={},%22dry_run%22:true", "/content"),
        ("campaign_id=a&content={%22a%22:1,%22a%22:2}", "/content/a"),
        ("campaign_id=a&recipients=[]", "/recipients"),
        ("campaign_id=a&colour=red", "/colour"),
        ("campaign_id=%ff", None),
    ],
)
def test_wrong_options_are_named(client: httpx.Client, query: str, path: str | None) -> None:
    stream = stream_of(table_of(people("wrong", 1)))
    answer = client.post(f"/send-batch?{query}", content=stream, headers={"Content-Type": ARROW})
    errors = problem_of(answer, 400).get("errors", [])
    assert [error["path"] for error in errors] == ([] if path is None else [path])


def test_a_damaged_stream_is_answered_or_refused(client: httpx.Client) -> None:
    put_campaign(client, "damaged")
    stream = stream_of(table_of(people("damaged", 10)), 4)
    generator = random.Random(5)
    for _ in range(150):
        damaged = bytearray(stream[: generator.choice([len(stream), generator.randrange(len(stream))])])
        for _ in range(generator.randrange(1, 4) if damaged else 0):
            damaged[generator.randrange(len(damaged))] ^= generator.randrange(1, 256)
        answer = post(client, bytes(damaged), {"campaign_id": "damaged", "dry_run": "true"})
        if answer.status_code == 200:
            decisions_of(answer.content)
        else:
            assert len(problem_of(answer, 400)["detail"]) < PROBLEM_DETAIL_MAX
    for stream in (b"", b"ARROW1\0\0", b'{"campaign_id": "damaged", "recipients": []}'):
        problem_of(post(client, stream, {"campaign_id": "damaged"}), 400)


def test_json_takes_no_query(client: httpx.Client) -> None:
    body = {"campaign_id": "a", "recipients": []}
    problem_of(client.post("/send-batch?dry_run=true", json=body, headers={"Accept": ARROW}), 400)


def test_problems_stay_problems(client: httpx.Client) -> None:
    problem_of(post(client, people("nobody", 1), {"campaign_id": "no such campaign"}, Accept=ARROW), 404)


def test_a_key_is_bound_to_query_body_and_answer(client: httpx.Client) -> None:
    put_campaign(client, "arrow-key")
    query = {"campaign_id": "arrow-key"}
    recipients = people("arrow-key", 30)
    first, again = (post(client, recipients, query, Idempotency_Key="arrow-key") for _ in range(2))
    assert (first.status_code, first.headers.get(REPLAYED)) == (200, None)
    assert (again.content, again.headers["content-type"], again.headers[REPLAYED]) == (first.content, ARROW, "true")
    assert client.get("/campaigns/arrow-key/status").json()["messages"]["scheduled"] == 30
    for other in (
        post(client, recipients[:-1], query, Idempotency_Key="arrow-key"),
        post(client, recipients, query | {"urgency": "low"}, Idempotency_Key="arrow-key"),
        post(client, recipients, query, Idempotency_Key="arrow-key", Accept=JSON),
    ):
        assert "Idempotency-Key" in problem_of(other, 422)["detail"]
    body = {"campaign_id": "arrow-key", "recipients": recipients}
    key = {"Idempotency-Key": "arrow-key-2"}
    assert client.post("/send-batch", json=body, headers=key).headers["content-type"] == JSON
    problem_of(client.post("/send-batch", json=body, headers=key | {"Accept": ARROW}), 422)


def test_the_document_has_the_media_type(client: httpx.Client) -> None:
    document = client.get(str(client.base_url).split("/api/")[0] + "/schema/openapi.json").json()
    operation = document["paths"]["/api/v1/outreach/send-batch"]["post"]
    assert operation["requestBody"]["content"].keys() == {JSON, ARROW}
    assert operation["responses"]["200"]["content"].keys() == {JSON, ARROW}
    names = {one["name"] for one in operation["parameters"] if one["in"] == "query"}
    assert names == {
        "campaign_id", "dedup_key", "urgency", "channels", "send_at", "content", "dry_run", "explain"
    }  # fmt: skip
