"""Each peer answers a handful of people rightly, and one that is not here is told in one line."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from litestar.testing import TestClient

from api.shapes import Decision
from bench.answers import BatchAnswer, Outcome, check_batch
from bench.checks import DAILY_CAP
from bench.connection import PREFIX
from bench.peers import comparison, limits_window, redis_script, throttled_window
from bench.peers import sqlalchemy_transactions as peer
from bench.peers.cap_asks import Admit, ask_everyone
from bench.peers.echo import create_echo
from bench.peers.peer import Peer, PeerMissing
from bench.peers.sqlalchemy_tables import Campaign
from bench.population import batch_body, people
from bench.result import AnswersWrong

DAY = 24 * 60 * 60
NOON = 1_767_268_800  # 2026-01-01T12:00:00Z


def test_the_echo_answers_everyone_with_every_field_and_decodes_them() -> None:
    with TestClient(create_echo(), raise_server_exceptions=False) as client:
        answered = client.post(f"{PREFIX}/send-batch", content=batch_body("spring", "key", people(7, 20)))
        wrong = client.post(f"{PREFIX}/send-batch", content=batch_body("spring", "key", b'[{"id": 7}]'))
    assert answered.status_code == 200
    assert answered.headers["content-type"] == "application/json"
    check_batch(msgspec.json.decode(answered.content, type=BatchAnswer), 7, 20)
    fields = {*Decision.__struct_fields__} - {"errors", "explanation"}  # those that only some answers have
    assert all(result.keys() == fields for result in answered.json()["results"])
    assert wrong.status_code == 500


def test_a_batch_with_someone_left_out_is_wrong() -> None:
    with TestClient(create_echo()) as client:
        answered = client.post(f"{PREFIX}/send-batch", content=batch_body("spring", "key", people(0, 19)))
    with pytest.raises(AnswersWrong):
        check_batch(msgspec.json.decode(answered.content, type=BatchAnswer), 0, 20)


@pytest.fixture(params=["limits", "throttled", "redis"])
def admit(request: pytest.FixtureRequest) -> Iterator[Admit]:
    """The caps peers."""
    if request.param == "limits":
        yield limits_window.Caps().admit
    elif request.param == "throttled":
        yield throttled_window.Caps().admit
    else:
        if shutil.which("redis-server") is None:
            pytest.skip("redis-server is not here")
        with redis_script.redis_server() as client:
            yield redis_script.Caps(client).admit


def test_nobody_gets_more_than_the_daily_cap(admit: Admit) -> None:
    ask_everyone(admit, 0, 5)
    assert admit(["a", "b", "a", "a", "b", "a", "a"]) == [True, True, True, True, True, False, False]


def test_wrong_answers_give_no_figure() -> None:
    with pytest.raises(AnswersWrong, match=f"not exactly {DAILY_CAP}"):
        ask_everyone(lambda people: [True] * len(people), 0, 5)


@pytest.mark.skipif(shutil.which("redis-server") is None, reason="redis-server is not here")
def test_redis_holds_a_day_and_a_week_to_the_millisecond() -> None:
    with redis_script.redis_server() as client:
        caps = redis_script.Caps(client)
        starts = [(NOON + day * DAY) * 1000 for day in range(8)]
        assert caps.admit(["a"] * 4, starts[0]) == [True, True, True, False]
        assert caps.admit(["a"], starts[1] - 1) == [False]
        assert caps.admit(["a"] * 4, starts[1]) == [True, True, True, False]
        assert caps.admit(["a"] * 4, starts[2]) == [True, True, True, False]
        assert caps.admit(["a"] * 4, starts[3]) == [True, False, False, False]
        assert caps.admit(["a"], starts[7] - 1) == [False]
        assert caps.admit(["a"] * 4, starts[7]) == [True, True, True, False]


def test_limits_holds_a_week(monkeypatch: pytest.MonkeyPatch) -> None:
    now = float(NOON)
    monkeypatch.setattr("limits.storage.memory.time.time", lambda: now)
    caps = limits_window.Caps()
    admitted = []
    for day in range(4):
        now = NOON + day * (DAY + 1.0)
        admitted += caps.admit(["a"] * 3)
    assert admitted == [True] * 10 + [False] * 2


async def test_transactions_keep_caps_keys_and_budgets(tmp_path: Path) -> None:
    outcomes: list[Outcome] = []
    async with peer.database(tmp_path, synchronous="OFF") as sessions:

        async def ask(number: int, key: str, now: int) -> str | None:
            outcomes.append(await peer.decide(sessions, number, peer.person(number), key, now))
            return outcomes[-1].reason

        assert await ask(0, "first", NOON) is None
        assert await ask(0, "first", NOON) == "duplicate"
        more = [await ask(0, f"more-{turn}", NOON) for turn in range(4)]
        assert set(more) <= {None, "daily_cap", "channel_gap"}
        assert more[-1] is not None
        async with sessions.begin() as session:
            (await session.get_one(Campaign, peer.CAMPAIGN)).total = 0
        assert await ask(1, "first", NOON) == "over_budget"
        async with sessions.begin() as session:
            (await session.get_one(Campaign, peer.CAMPAIGN)).active = False
        assert await ask(2, "first", NOON) == "campaign_inactive"
    peer.check(outcomes)
    with pytest.raises(AnswersWrong):
        peer.check([outcomes[0], outcomes[0]])


def test_a_missing_package_and_a_missing_server_are_a_line_each(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_server() -> list[float]:
        raise PeerMissing("redis-server is missing: install it")

    present = {
        "one": Peer("checks", "it decides nothing", lambda: [5.0, 7.0, 6.0]),
        "two": Peer("checks", "", no_server),
    }
    monkeypatch.setattr(comparison, "MODULES", {"absent": "bench.peers.absent", "one": "one", "two": "two"})
    load = comparison.load_peer
    monkeypatch.setattr(comparison, "load_peer", lambda module: present.get(module) or load(module))
    result = comparison.peers()
    assert result.rows == (
        ("absent", "left out: the package bench.peers.absent is missing: pip install 'madan-sara[bench]'"),
        ("one", "6 checks a second (5 to 7); it decides nothing"),
        ("two", "left out: redis-server is missing: install it"),
    )
    assert result.headline == "one 6 decisions or checks a second"
    assert result.as_dict()["one"] == {
        "checks_per_s": 6,
        "checks_per_s_range": [5, 7],
        "lacks": "it decides nothing",
    }
    assert set(comparison.MODULES) < set(result.as_dict())


def test_without_redis_server_the_peer_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda name: None)
    with pytest.raises(PeerMissing, match="apt-get install redis-server"):
        redis_script.PEER.measure()
