"""Dry runs over HTTP."""

from __future__ import annotations

import re

import httpx

PEOPLE = [{"id": "dry-http-1", "contacts": {"email": "ana@example.com"}}, {"id": "dry-http-2"}, {"id": ""}]


def decided(client: httpx.Client) -> list[str]:
    """What the metrics say of decisions."""
    base = str(client.base_url).removesuffix("/api/v1/outreach/")
    return re.findall(r"^madan_sara_decisions_total.*$", client.get(f"{base}/metrics").text, re.MULTILINE)


def test_a_dry_run_has_no_ids_and_counts_nowhere(client: httpx.Client) -> None:
    assert client.put("/campaigns/dry-http", json={"budget": {"total": "0.001"}, "urgency": "high"}).status_code == 200
    counted = decided(client)
    body = {"campaign_id": "dry-http", "recipients": PEOPLE, "dry_run": True}
    answer = client.post("/send-batch", json=body).json()
    assert (answer["batch_id"], answer["counts"]) == (None, {"scheduled": 1, "blocked": 1, "invalid": 1})
    assert [decision["message_id"] for decision in answer["results"]] == [None] * 3
    assert answer["results"][2]["errors"][0]["path"] == "/recipients/2/id"
    one = client.post("/send", json={"campaign_id": "dry-http", "recipient": PEOPLE[0], "dry_run": True})
    assert (one.status_code, one.json()) == (200, answer["results"][0])
    wrong = client.post("/send", json={"campaign_id": "dry-http", "recipient": PEOPLE[2], "dry_run": True})
    assert wrong.status_code == 422
    assert client.get("/recipients/dry-http-1").status_code == 404
    status = client.get("/campaigns/dry-http/status").json()
    assert (sum(status["messages"].values()), sum(status["blocked"].values())) == (0, 0)
    assert decided(client) == counted
    real = client.post("/send-batch", json=body | {"dry_run": False}).json()
    assert real["counts"] == answer["counts"]
    assert decided(client) != counted


def test_a_dry_run_of_what_is_not_there_is_refused_as_any_other(client: httpx.Client) -> None:
    for path, people in (("/send", {"recipient": PEOPLE[0]}), ("/send-batch", {"recipients": PEOPLE})):
        answer = client.post(path, json={"campaign_id": "nowhere", "dry_run": True} | people)
        assert answer.status_code == 404
