"""A batch with a hundred recipients, each broken in its own way, among ten thousand."""

from __future__ import annotations

import json
import random
from typing import Any

import httpx

from engine._core import CHANNELS

NOT_TEXT: list[Any] = [None, 5, True, 1.5, [], {}]
NOT_OBJECTS: list[Any] = [None, 5, False, "text", 2.5, ["id"]]
NOT_LISTS: list[Any] = [None, 5, "sms", {}]
NOT_HOURS: list[Any] = [
    None,
    [],
    "21:00",
    {},
    {"start": "21:00"},
    {"start": "8:00", "end": "21:00"},
    {"start": "24:00", "end": "08:00"},
    {"start": "21:00", "end": "08:60"},
    {"start": 1260, "end": 480},
    {"start": "21:00", "end": "08:00", "zone": "UTC"},
]


def faults() -> list[tuple[str, Any]]:
    """(the field at fault, a recipient with that fault), no two alike."""
    found: list[tuple[str, Any]] = [("", value) for value in NOT_OBJECTS]
    found += [("/id", {})]
    found += [
        ("/id", {"id": value}) for value in [*NOT_TEXT, "", "x" * 129, "é" * 65, "a\nb", "a\x00b", "\x7f", "\x85"]
    ]

    def add(field: str, *values: Any) -> None:
        found.extend((f"/{field}", {"id": "broken", field: value}) for value in values)

    add("customer_type", *NOT_TEXT, "", "old", "New")
    add("device", *NOT_TEXT, "toaster", "MOBILE")
    add("timezone", *NOT_TEXT, "", "Mars/Olympus", "utc+1", "America/Port-au-Prince\x00")
    add("contacts", *NOT_OBJECTS, {"fax": "+50937001234"}, {"": "x"})
    add("contacts", *({channel: value} for channel in CHANNELS for value in (None, 5)))
    add("preferences", *NOT_OBJECTS, {"colour": "red"})
    add("preferences", *({"channels": value} for value in [*NOT_LISTS, ["fax"], [5]]))
    add("preferences", *({"opt_out": value} for value in [*NOT_LISTS, ["none"], [None]]))
    add("preferences", *({"quiet_hours": value} for value in NOT_HOURS))
    add("colour", "red")
    add("name", "Ana")
    return found


def test_a_hundred_broken_among_ten_thousand(client: httpx.Client) -> None:
    assert client.put("/campaigns/broken", json={}).status_code == 200
    broken = random.Random(2).sample(faults(), 100)
    assert len({json.dumps(value) for _, value in broken}) == 100
    places = dict(zip(sorted(random.Random(3).sample(range(10_000), 100)), broken, strict=True))
    recipients = [places[place][1] if place in places else {"id": f"whole-{place}"} for place in range(10_000)]

    answer = client.post("/send-batch", json={"campaign_id": "broken", "recipients": recipients})
    assert answer.status_code == 200
    batch = answer.json()
    assert batch["counts"] == {"scheduled": 0, "blocked": 9_900, "invalid": 100}
    assert [place for place, one in enumerate(batch["results"]) if one["status"] == "invalid"] == list(places)
    for place, (field, value) in places.items():
        (first, *_) = batch["results"][place]["errors"]
        path = f"/recipients/{place}{field}"
        assert first["path"] == path or first["path"].startswith(f"{path}/"), value
        assert first["message"]


def test_every_fault_is_found_alone(client: httpx.Client) -> None:
    assert client.put("/campaigns/broken", json={}).status_code == 200
    broken = faults()
    answer = client.post("/send-batch", json={"campaign_id": "broken", "recipients": [value for _, value in broken]})
    results = answer.json()["results"]
    for place, (field, value) in enumerate(broken):
        assert results[place]["status"] == "invalid", value
        paths = [error["path"] for error in results[place]["errors"]]
        assert paths, value
        assert all(path.startswith(f"/recipients/{place}{field}") for path in paths), value
