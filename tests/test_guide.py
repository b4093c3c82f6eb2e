"""Every request of the guide is sent, every answer is compared, every sum is added up, and its tables are complete.

docs/orchestrator-guide.md is read from top to bottom. A heading of the third level begins an empty engine. A block
`http` is a request; the block `json` after it shows its answer, or the part of it that matters: every key that is
shown must be there with this value. A block `sums` has lines `expression = value`, and the block `python` is run by
tests/actors/test_client.py. A number in the running text must occur in a block or table of its section, or among the
defaults, or be named below with the constant it comes from.
"""

from __future__ import annotations

import ast
import json
import math
import operator
import re
import tomllib
from collections.abc import Callable, Iterator
from http import HTTPStatus
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import pytest

from actors.keyed import KEY_CHARACTERS_MAX
from api.shapes import SendBody
from engine import Engine
from engine._core import CHANNELS, REASONS
from engine.config import load_settings
from engine.errors import ConfigurationError, MadanSaraError, RequestError
from engine.model import Campaign, CampaignLimits, Recipient, decode_campaign
from engine.pacing import INCREASE_BELOW, REDUCE_ABOVE
from engine.scalars import Instant

ROOT = Path(__file__).parents[1]
GUIDE = (ROOT / "docs" / "orchestrator-guide.md").read_text("utf-8")
DEFAULTS = tomllib.loads((ROOT / "engine" / "defaults.toml").read_text("utf-8"))
BLOCK = re.compile(r"^```([a-z]+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PROBLEMS = (400, 401, 404, 405, 408, 409, 413, 415, 422, 429, 503)


def sections() -> dict[str, str]:
    """The text under each heading of the second or third level, by the heading."""
    parts = re.split(r"^##+ (.*)$", GUIDE, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


SECTIONS = sections()
WITH_REQUESTS = [name for name, text in SECTIONS.items() if "```json" in text]


# ---- requests ---------------------------------------------------------------------------------------------


class Front:
    """An engine that is asked as the guide asks: by method, path and body."""

    def __init__(self, shards: int) -> None:
        self.engine = Engine(shards=shards)
        self.now = 0

    def ask(self, method: str, path: str, body: dict[str, Any]) -> Any:
        try:
            return self._answer(method, path.removeprefix("/api/v1").strip("/").split("/"), body)
        except MadanSaraError as error:
            faults = error.errors if isinstance(error, RequestError) else []
            problem = {"title": HTTPStatus(error.status).phrase, "status": error.status, "detail": error.detail}
            return problem | {"errors": [{"path": at, "message": message} for at, message in faults]}

    def _answer(self, method: str, path: list[str], body: dict[str, Any]) -> Any:  # noqa: PLR0911, PLR0912 - routes
        engine, now = self.engine, self.now
        match method, *path:
            case "PUT", "clock":
                self.now = Instant.read(body["now"])
                engine.set_clock(self.now)
                return body
            case "PUT", "campaigns", name:
                engine.put_campaign(body, name)
            case "POST", "campaigns", name, ("pause" | "resume") as change:
                getattr(engine, change)(name)
            case "GET", "campaigns", name, "status":
                return engine.status(name, now)
            case "POST", "send":
                return engine.send(body, now)
            case "POST", "send-batch":
                return engine.send_batch(body, now)
            case "POST", "events":
                return engine.events(body, now)
            case "GET", "messages", name:
                return engine.message(name)
            case "DELETE", "messages", name:
                return engine.cancel(name)
            case "GET", "recipients", name:
                return engine.recipient(name, now)
            case "PUT", "recipients", name:
                engine.put_recipient(name, body, now)
                return engine.recipient(name, now)
            case "PUT", "recipients", name, "suppressions", scope:
                engine.suppress(name, scope, None, body.get("reason"), now)
            case _:
                raise AssertionError(f"the test does not know {method} {path}")
        return None


def requests(text: str) -> Iterator[tuple[str, str, dict[str, Any], str | None]]:
    """Method, path, body, and the block that shows the answer, of each request in order."""
    blocks = BLOCK.findall(text)
    for place, (kind, request) in enumerate(blocks):
        if kind == "http":
            shown = blocks[place + 1][1] if blocks[place + 1 : place + 2] and blocks[place + 1][0] == "json" else None
            for method, path, body in re.findall(
                r"^([A-Z]+) (\S+)(.*?)(?=^[A-Z]+ |\Z)", request, re.DOTALL | re.MULTILINE
            ):
                yield method, path, json.loads(body) if body.strip() else {}, shown


def run(text: str) -> list[tuple[Any, str | None]]:
    shards = re.search(r"`--shards (\d+)`", text)
    front = Front(int(shards[1]) if shards else 1)
    answers: list[tuple[Any, str | None]] = []
    # Each section begins with the running example.
    for method, path, body, shown in [*requests(SECTIONS["The running example"]), *requests(text)]:
        if answers and answers[-1][1] is shown and shown is not None:
            answers[-1] = (answers[-1][0], None)  # a block of several requests shows the last one's answer
        answers.append((front.ask(method, path, body), shown))
    return answers


def differences(shown: Any, answered: Any, path: str = "") -> list[str]:
    """Where the answer is not what is shown. Of an object only the keys that are shown count."""
    if isinstance(shown, dict) and isinstance(answered, dict):
        missing = [f"{path}/{key}: not answered" for key in shown if key not in answered]
        pairs = [(key, shown[key], answered[key]) for key in shown if key in answered]
        return missing + [fault for key, one, other in pairs for fault in differences(one, other, f"{path}/{key}")]
    if isinstance(shown, list) and isinstance(answered, list) and len(shown) == len(answered):
        pairs = list(zip(range(len(shown)), shown, answered, strict=True))
        return [fault for key, one, other in pairs for fault in differences(one, other, f"{path}/{key}")]
    if isinstance(shown, float) and isinstance(answered, float):
        decimals = len(repr(shown).partition(".")[2])
        return [] if round(answered, decimals) == shown else [f"{path}: {answered}, and {shown} is shown"]
    return [] if shown == answered else [f"{path}: {answered!r}, and {shown!r} is shown"]


@pytest.mark.parametrize("name", WITH_REQUESTS)
def test_the_engine_answers_what_is_shown(name: str) -> None:
    shown = [(answer, json.loads(block)) for answer, block in run(SECTIONS[name]) if block is not None]
    assert shown
    assert [fault for answer, block in shown for fault in differences(block, answer)] == []


def test_every_answer_that_is_shown_follows_a_request() -> None:
    kinds = [kind for kind, _ in BLOCK.findall(GUIDE)]
    assert set(kinds) <= {"http", "json", "sums", "text", "sh", "toml", "python"}
    for before, kind in pairwise(kinds):
        assert kind != "json" or before == "http"


def test_every_reason_is_shown_by_an_answer() -> None:
    shown = {json.loads(f'"{code}"') for code in re.findall(r'"reason": "([a-z_]+)"', GUIDE)}
    assert set(REASONS) <= shown


# ---- sums -------------------------------------------------------------------------------------------------

OPERATORS: dict[type, Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: operator.pow,
}


def value_of(node: ast.expr) -> float:
    match node:
        case ast.BinOp(left, sign, right):
            return OPERATORS[type(sign)](value_of(left), value_of(right))
        case ast.Constant(int() | float() as number):
            return float(number)
    raise AssertionError(ast.dump(node))


SUMS = [line for kind, block in BLOCK.findall(GUIDE) if kind == "sums" for line in block.splitlines()]


@pytest.mark.parametrize("line", SUMS)
def test_a_sum_is_what_it_says(line: str) -> None:
    expression, _, result = line.rpartition(" = ")
    decimals = len(result.partition(".")[2])
    found = value_of(ast.parse(expression, mode="eval").body)
    assert math.isclose(found, float(result), abs_tol=0.5 * 10**-decimals if decimals > 3 else 1e-9)


# ---- tables -----------------------------------------------------------------------------------------------


def tables(section: str) -> Iterator[list[list[str]]]:
    """The rows of each table of a section, cells without blanks around them, the heading first."""
    for table in re.findall(r"(?:^\|.*\n)+", SECTIONS[section], re.MULTILINE):
        rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()]
        yield [rows[0], *rows[2:]]


def flat(table: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    keys: dict[str, Any] = {}
    for name, value in table.items():
        keys |= flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {prefix + name: value}
    return keys


def of_toml(cell: str) -> Any:
    return tomllib.loads(f"value = {cell.strip('`')}")["value"]


def configuration() -> dict[str, tuple[Any, str]]:
    """Default and what it takes, of each key in the guide."""
    keys, by_channel = tables("Configuration")
    found = {row[0].strip("`"): (of_toml(row[1]), row[3]) for row in keys[1:]}
    assert by_channel[0][1:8] == list(CHANNELS)
    for row in by_channel[1:]:
        for name, cell in zip(CHANNELS, row[1:8], strict=True):
            key = row[0].strip("`")
            found[key.replace("*", name) if "*" in key else f"{key}.{name}"] = (of_toml(cell), row[8])
    return found


def test_every_key_of_the_configuration_is_there_with_its_default_and_no_other() -> None:
    assert {key: default for key, (default, _) in configuration().items()} == flat(DEFAULTS)


TAKES_ANY = {"host", "api_keys"} | {key for key, (_, takes) in configuration().items() if takes.endswith("text")}


@pytest.mark.parametrize("key", sorted(set(flat(DEFAULTS)) - TAKES_ANY))
def test_a_key_takes_what_the_guide_says(key: str) -> None:
    variable = "MADAN_SARA_" + key.upper().replace(".", "__")
    with pytest.raises(ConfigurationError) as refusal:
        load_settings(environment={variable: "x"})
    assert refusal.value.takes == f"takes {configuration()[key][1]}"


def codes(rows: list[list[str]]) -> list[str]:
    return [row[0].strip("`") for row in rows[1:]]


def test_every_reason_status_and_problem_has_its_place() -> None:
    reasons, statuses, problems = tables("Troubleshooting")
    assert codes(reasons) == list(REASONS)
    assert codes(statuses) == ["unavailable", "invalid"]
    assert set(map(str, PROBLEMS)) <= set(codes(problems))
    assert all(HTTPStatus(int(code)) for code in codes(problems))


def field_names(kind: type) -> list[str]:
    """Of a body, those of an object inside it after its name and a point."""
    names = []
    for field in msgspec.inspect.type_info(kind).fields:  # type: ignore[attr-defined]
        inner = [one for one in getattr(field.type, "types", [field.type]) if hasattr(one, "fields")]
        inside = inner and field.name in {"channels", "budget", "limits", "preferences"}
        names += [f"{field.name}.{one.name}" for one in inner[0].fields] if inside else [field.name]
    return names


def test_every_field_has_its_place_and_every_default_is_the_one_taken() -> None:
    campaign, request, recipient = tables("Fields")
    assert codes(campaign) == [name for name in field_names(Campaign) if name != "id"]
    assert codes(request) == ["campaign_id", "recipient`, `recipients", *field_names(SendBody)[1:-1]]
    assert codes(recipient) == field_names(Recipient)
    bare = decode_campaign(b"{}", "x")
    defaults = {row[0].strip("`"): row[1].strip("`") for row in campaign[1:]}
    for name in ("category", "urgency", "timezone", "on_cap", "max_attempts"):
        assert defaults[name] == str(getattr(bare, name))
    for name in ("daily_cap", "weekly_cap", "lookback_hours"):
        assert defaults[f"limits.{name}"] == str(getattr(bare.limits, name))
    assert defaults["budget.currency"] == bare.currency


def test_every_file_that_is_named_is_there() -> None:
    named = re.findall(r"`((?:engine|kernels|tests)/[a-z_/.]+)`", GUIDE)
    assert len(named) > len(CHANNELS)
    assert [name for name in named if not (ROOT / name).exists()] == []


# ---- numbers in the running text --------------------------------------------------------------------------

NUMBER = re.compile(r"(?<![\w.])\d+(?:[.,]\d+)*|(?<=T)\d+")
RULES: dict[str, object] = {
    "1.10": float(REDUCE_ABOVE),
    "0.90": float(INCREASE_BELOW),
    "255": KEY_CHARACTERS_MAX,
    "24": CampaignLimits().lookback_hours,
    "4": DEFAULTS["min_gap_hours"]["email"],
    "90": DEFAULTS["engagement"]["half_life_days"],
    "3": CampaignLimits().daily_cap,
    "10": CampaignLimits().weekly_cap,
}
"""Numbers that the text takes from the code, and what they are there."""
TESTED_ELSEWHERE = {
    "168": "tests/engine/test_caps_exact.py",
    "14": "tests/engine/test_caps_exact.py",
    "7": "tests/engine/test_defer.py",
    "72": "tests/kernels/test_send_time.py",
    "1,000": "tests/engine/test_explain.py",
    "100,000": "tests/engine/test_request.py",
    "65,536": "engine/src/parser/tests.rs",
    **dict.fromkeys(("998", "4,096", "2,000", "8,000", "10,000"), "tests/engine/test_content.py"),
    **dict.fromkeys(("160", "153", "70", "67", "16"), "tests/engine/test_segments.py"),
}
"""Bounds of rules, and the tests that know them."""


def numbers(text: str) -> set[str]:
    """The numbers of a text, without zeros before them."""
    return {number.lstrip("0") or "0" for number in NUMBER.findall(text)}


def test_rules_are_as_the_text_has_them() -> None:
    assert [text for text, value in RULES.items() if float(text) != value] == []


@pytest.mark.parametrize("name", [name for name in SECTIONS if name != "Configuration"])
def test_no_number_in_the_text_is_without_a_test(name: str) -> None:
    text = SECTIONS[name]
    blocks = BLOCK.findall(text + SECTIONS["The running example"])
    shown = numbers(" ".join(block for kind, block in blocks if kind != "text"))
    steps = set("012356") if name == "The ten steps" else {"0", "1"}
    known = numbers(" ".join([*RULES, *TESTED_ELSEWHERE, *steps, *(str(status.value) for status in HTTPStatus)]))
    assert numbers(BLOCK.sub("", text)) - known - shown == set()
