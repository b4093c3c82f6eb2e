"""Templates over HTTP: refused when the campaign is put or the request made, on all shards or none."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from tests.api.front import problem_of

WELCOME: dict[str, Any] = {
    "email": {"subject": "Welcome, {{ name }}", "text": "Hello {{ name }}"},
    "sms": {"text": "Welcome, {{ name }}"},
}
NEEDED = [
    {"path": "/content/name", "message": f"is needed by {template}"}
    for template in ("email/subject", "email/text", "sms/text")
]


def put(client: httpx.Client, campaign_id: str, templates: object = WELCOME) -> httpx.Response:
    return client.put(f"/campaigns/{campaign_id}", json={"urgency": "high", "templates": templates})


def people(campaign_id: str, count: int) -> list[dict[str, Any]]:
    return [{"id": f"{campaign_id}-{number}", "contacts": {"email": "ana@example.com"}} for number in range(count)]


def decided(client: httpx.Client, campaign_id: str) -> int:
    status = client.get(f"/campaigns/{campaign_id}/status").json()
    return int(sum(status["messages"].values()) + sum(status["blocked"].values()))


def test_templates_are_put_and_read(client: httpx.Client) -> None:
    answer = put(client, "worded")
    assert answer.json()["templates"] == WELCOME
    assert client.get("/campaigns/worded").json() == answer.json()
    assert client.put("/campaigns/wordless", json={}).json()["templates"] == {}


def test_a_template_that_is_none_is_refused(client: httpx.Client) -> None:
    problem = problem_of(put(client, "misworded", {"email": {"subject": "a\n{{ b }", "text": "a"}}), 400)
    ((error),) = problem["errors"]
    assert error["path"] == "/templates/email/subject"
    assert error["message"].endswith("(line 2)")
    assert client.get("/campaigns/misworded").status_code == 404


@pytest.mark.parametrize("options", [{}, {"dry_run": True}])
def test_a_batch_whose_content_does_not_suit_is_decided_on_no_shard(
    client: httpx.Client, options: dict[str, Any]
) -> None:
    campaign_id = f"suited-{len(options)}"
    assert put(client, campaign_id).status_code == 200
    body = {"campaign_id": campaign_id, "recipients": people(campaign_id, 50)} | options
    problem = problem_of(client.post("/send-batch", json=body), 400)
    assert problem["errors"] == NEEDED
    assert problem["detail"].startswith("The request is not valid: content/name is needed by email/subject")
    assert decided(client, campaign_id) == 0
    assert client.get(f"/recipients/{campaign_id}-0").status_code == 404
    answer = client.post("/send-batch", json=body | {"content": {"name": "Ana"}})
    assert answer.json()["counts"]["scheduled"] == 50


def test_sends_that_are_gathered_stand_for_themselves(client: httpx.Client) -> None:
    assert put(client, "gathered").status_code == 200

    def send(person: dict[str, Any]) -> httpx.Response:
        is_told = int(person["id"].rpartition("-")[2]) % 2 == 0
        content = {"name": person["id"]} if is_told else {}
        return client.post("/send", json={"campaign_id": "gathered", "recipient": person, "content": content})

    with ThreadPoolExecutor(40) as threads:
        answers = list(threads.map(send, people("gathered", 80)))
    assert [answer.status_code for answer in answers] == [200, 400] * 40
    assert all(answer.json()["errors"] == NEEDED for answer in answers[1::2])
    assert decided(client, "gathered") == 40


@pytest.mark.parametrize("path", ["/send", "/send-batch"])
def test_a_key_is_free_again_where_content_did_not_suit(client: httpx.Client, path: str) -> None:
    campaign_id = "keyed" + path.replace("/", "-")
    assert put(client, campaign_id).status_code == 200
    everybody = people(campaign_id, 20)
    body = {"campaign_id": campaign_id}
    body |= {"recipient": everybody[0]} if path == "/send" else {"recipients": everybody}
    headers = {"Idempotency-Key": campaign_id}
    assert problem_of(client.post(path, json=body, headers=headers), 400)["errors"] == NEEDED
    assert decided(client, campaign_id) == 0
    suited = body | {"content": {"name": "Ana"}}
    first = client.post(path, json=suited, headers=headers)
    assert first.status_code == 200
    assert client.post(path, json=suited, headers=headers).content == first.content


def test_an_option_in_the_query_is_looked_at_as_well(client: httpx.Client) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    assert put(client, "queried").status_code == 200
    table = pyarrow.table({"id": ["queried-1", "queried-2"]})
    sink = pyarrow.BufferOutputStream()
    with pyarrow.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    headers = {"Content-Type": "application/vnd.apache.arrow.stream", "Accept": "application/json"}

    def post(**options: str) -> httpx.Response:
        params = {"campaign_id": "queried"} | options
        return client.post("/send-batch", params=params, content=sink.getvalue().to_pybytes(), headers=headers)

    assert problem_of(post(), 400)["errors"] == NEEDED
    assert post(content='{"name": "Ana"}').json()["counts"]["blocked"] == 2
