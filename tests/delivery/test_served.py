"""Delivery as a user meets it: `madan-sara serve` with nothing configured, its outbox, its metrics, its pauses."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import pytest

from bench.connection import Connection, Refused
from bench.server import Server

PATIENCE_S = 20.0
ANA = {"id": "ana", "contacts": {"email": "ana@example.com", "sms": "+15550001"}}


class Served:
    """A server, its state directory, and how many seconds its clock has been moved."""

    def __init__(self, server: Server, state: Path) -> None:
        self.server = server
        self.state = state
        self.http = Connection(server.host, server.port)
        self.minutes = 0
        self.move(0)

    def move(self, minutes: int) -> None:
        self.minutes += minutes
        hour, minute = divmod(9 * 60 + self.minutes, 60)
        self.http.set_clock(f"2026-03-02T{hour:02d}:{minute:02d}:00Z")

    def send(self, campaign_id: str, recipient: dict[str, Any], **request: Any) -> str:
        body = {"campaign_id": campaign_id, "recipient": recipient, **request}
        decision = json.loads(self.http.post("/send", json.dumps(body).encode()))
        assert decision["status"] == "scheduled", decision
        return str(decision["message_id"])

    def message(self, message_id: str) -> dict[str, Any]:
        return self.http.get(f"/messages/{message_id}")

    def until(self, message_id: str, state: str) -> dict[str, Any]:
        end = monotonic() + PATIENCE_S
        while (message := self.message(message_id))["state"] != state:
            assert monotonic() < end, message
            sleep(0.01)
        return message

    def settled(self) -> None:
        """Until everything that is due has left."""
        end, line = monotonic() + PATIENCE_S, "madan_sara_settled_until_seconds "
        now = 1_772_442_000 + 60 * self.minutes
        while True:
            text = self.http.request("GET", "/metrics").decode()
            if any(float(row.split()[1]) >= now for row in text.splitlines() if row.startswith(line)):
                return
            assert monotonic() < end, text
            sleep(0.01)

    def outbox(self, *arguments: str) -> list[dict[str, Any]]:
        command = [sys.executable, "-m", "api.cli", "outbox", "--state-dir", str(self.state), "--json", *arguments]
        listed = subprocess.run(command, capture_output=True, text=True, check=True)
        self.http.close()  # it was idle for long
        return [json.loads(line) for line in listed.stdout.splitlines()]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    state = tmp_path_factory.mktemp("served") / "state"
    config = state.with_name("madan-sara.toml")
    config.write_text("[delivery.email]\nsuccess_within_hours = 2\n")
    options = ("--clock", "manual", "--shards", "2", "--state-dir", str(state), "--config", str(config))
    with Server(*options, delivers=True) as server:
        served = Served(server, state)
        yield served
        served.http.close()


def test_what_is_due_lands_in_the_outbox_when_its_time_comes(served: Served) -> None:
    served.http.put("/campaigns/mail", {"channels": {"allowed": ["email"]}})
    at = "2026-03-02T09:45:00Z"
    message = served.send("mail", ANA, send_at=at, content={"subject": "Hello", "text": "Good morning", "order": 7})
    served.settled()
    assert served.message(message)["state"] == "scheduled"
    served.move(45)
    sent = served.until(message, "sent")
    assert sent["sent_at"] == at
    assert [(one["state"], one["provider_id"]) for one in sent["attempts"]] == [("sent", f"{message}.0")]
    (row,) = served.outbox("--recipient", "ana")
    assert {name: row[name] for name in ("message_id", "channel", "campaign_id", "address", "subject", "text")} == {
        "message_id": message,
        "channel": "email",
        "campaign_id": "mail",
        "address": "ana@example.com",
        "subject": "Hello",
        "text": "Good morning",
    }
    assert row["data"] == {"subject": "Hello", "text": "Good morning", "order": 7}
    metrics = served.http.request("GET", "/metrics").decode()
    assert 'madan_sara_attempts_total{channel="email",outcome="accepted"}' in metrics
    assert 'madan_sara_queue_age_seconds{channel="email"} 0.0' in metrics
    status = served.http.get("/campaigns/mail/status")
    assert (status["messages"]["sent"], status["budget"]["spent"]) == (1, "0.001")


def test_a_pause_holds_what_is_due(served: Served) -> None:
    served.http.put("/campaigns/held", {"channels": {"allowed": ["email"]}, "category": "transactional"})
    at = f"2026-03-02T{9 + (served.minutes + 10) // 60:02d}:{(served.minutes + 10) % 60:02d}:00Z"
    message = served.send("held", ANA, send_at=at)
    served.http.post("/campaigns/held/pause", b"")
    served.move(10)
    served.settled()
    assert served.message(message)["state"] == "scheduled"
    served.http.post("/campaigns/held/resume", b"")
    served.until(message, "sent")


def test_what_is_not_heard_of_in_time_goes_by_the_next_channel(served: Served) -> None:
    """The shard asks the ledger for the money of it."""
    channels = {"allowed": ["email", "sms"], "priority": {"email": 1}}
    served.http.put("/campaigns/heard", {"channels": channels, "urgency": "high", "budget": {"total": "0.0095"}})
    people = [{"id": f"heard-{name}", "contacts": ANA["contacts"]} for name in ("of", "not of")]
    messages = [served.send("heard", person) for person in people]
    sent = [served.until(message, "sent") for message in messages]
    assert [message["fallback_chain"] for message in sent] == [["sms"], ["sms"]]
    opened = {"events": [{"id": "opened", "type": "opened", "message_id": messages[0]}]}
    served.http.post("/events", json.dumps(opened).encode())
    served.move(119)
    served.settled()
    assert [served.message(message)["channel"] for message in messages] == ["email", "email"]
    served.move(1)
    served.settled()
    assert [served.message(message)["channel"] for message in messages] == ["email", "sms"]
    attempts = [(one["channel"], one["state"]) for one in served.message(messages[1])["attempts"]]
    assert attempts == [("email", "failed"), ("sms", "sent")]
    assert [row["channel"] for row in served.outbox("--recipient", "heard-not of")] == ["sms", "email"]
    budget = served.http.get("/campaigns/heard/status")["budget"]
    assert (budget["committed"], budget["spent"], budget["remaining"]) == ("0.0095", "0.0095", "0.00")


def test_an_erased_person_leaves_the_outbox(served: Served) -> None:
    served.http.put("/campaigns/mail", {"channels": {"allowed": ["email"]}})
    eva = {"id": "eva-erased", "contacts": {"email": "eva@example.com"}}
    served.until(served.send("mail", eva, urgency="high"), "sent")
    assert len(served.outbox("--recipient", "eva-erased")) == 1
    served.http.request("DELETE", "/api/v1/outreach/recipients/eva-erased")
    assert served.outbox("--recipient", "eva-erased") == []
    with pytest.raises(Refused, match="404"):
        served.http.request("DELETE", "/api/v1/outreach/recipients/eva-erased")
    for path in served.state.glob("outbox*"):
        assert b"eva@example.com" not in path.read_bytes()


def test_the_outbox_as_people_read_it(served: Served) -> None:
    command = [sys.executable, "-m", "api.cli", "outbox", "--state-dir", str(served.state)]
    listed = subprocess.run(command, capture_output=True, text=True, check=True)
    assert listed.stdout.split()[:6] == ["scheduled", "channel", "campaign", "recipient", "to", "says"]
    assert "Hello – Good morning" in listed.stdout


def test_where_there_is_no_outbox(tmp_path: Path) -> None:
    def outbox(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "api.cli", "outbox", *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    assert outbox().returncode == 2
    assert "--state-dir" in outbox().stderr
    missing = outbox("--state-dir", str(tmp_path / "nowhere"))
    assert (missing.returncode, missing.stdout) == (2, "")
    empty = outbox("--state-dir", str(tmp_path))
    assert (empty.returncode, empty.stderr) == (0, "Nothing was sent to this outbox yet.\n")
    (tmp_path / "outbox.db").write_text("no database" * 100)
    assert outbox("--state-dir", str(tmp_path)).returncode == 2
