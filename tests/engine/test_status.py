"""A campaign's status: the shards' tallies added up and divided."""

from __future__ import annotations

from engine._core import CHANNELS, MESSAGE_STATES, REASONS
from engine.model import decode_campaign
from engine.status import Tally, build_status


def tally(scale: int) -> Tally:
    return {
        "messages": [scale, 0, scale, 2 * scale, 0, 0, scale, 0],
        "blocked": [scale] * len(REASONS),
        "channels": [
            {
                "messages": scale,
                "committed": 1_000 * scale,
                "spent": 500 * scale,
                "delivered": scale,
                "engaged": scale,
                "converted": scale,
            }
            for _ in CHANNELS
        ],
        "opened": 3 * scale,
        "clicked": 2 * scale,
        "converted": scale,
        "revenue": 7_000_000 * scale,
        "days": {0: (10_000 * scale, scale), 1: (99, 1)},
        "hours": [scale] * 24,
    }


def test_status_adds_up_and_divides() -> None:
    campaign = decode_campaign(
        b'{"budget": {"total": "0.02", "daily": "5", "per_channel": {"sms": "0.5", "email": "0"}}}', "x"
    )
    status = build_status(campaign, False, [tally(1), tally(2)], 86_399)
    assert status["as_of"] == "1970-01-01T23:59:59Z"
    assert status["messages"] == dict(zip(MESSAGE_STATES, [3, 0, 3, 6, 0, 0, 3, 0], strict=True))
    assert status["blocked"] == dict.fromkeys(REASONS, 3)
    assert status["by_channel"]["twitter"] == {
        "messages": 3,
        "committed": "0.003",
        "delivered": 3,
        "engaged": 3,
        "converted": 3,
    }
    assert status["budget"] == {
        "total": "0.02",
        "committed": "0.021",
        "spent": "0.0105",
        "remaining": "0.00",
        "today": {"committed": "0.03", "limit": "5.00"},
        "per_channel": {
            "email": {"total": "0.00", "committed": "0.003", "remaining": "0.00"},
            "sms": {"total": "0.50", "committed": "0.003", "remaining": "0.497"},
        },
    }
    assert status["performance"] == {
        "delivered": 21,
        "opened": 9,
        "clicked": 6,
        "converted": 3,
        "open_rate": round(9 / 21, 6),
        "click_rate": round(6 / 21, 6),
        "conversion_rate": round(3 / 21, 6),
        "cost_per_message": "0.00175",
        "cost_per_conversion": "0.0035",
        "revenue": "21.00",
        "roi": round((21 - 0.0105) / 0.0105, 6),
    }
    assert status["send_times"] == {"by_local_hour": [3] * 24}


def test_status_of_nothing_divides_by_nothing() -> None:
    status = build_status(decode_campaign(b"{}", "x"), True, [tally(0)], 0)
    assert status["state"] == "paused"
    assert status["budget"]["total"] is status["budget"]["remaining"] is status["budget"]["today"]["limit"] is None
    performance = status["performance"]
    for name in (
        "open_rate",
        "click_rate",
        "conversion_rate",
        "cost_per_message",
        "cost_per_conversion",
        "roi",
    ):
        assert performance[name] is None
    assert performance["revenue"] == "0.00"
