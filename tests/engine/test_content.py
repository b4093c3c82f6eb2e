"""Content: a campaign's templates, what is found when a request is made, and what a message says in the end."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from engine import Engine
from engine.claim import Claim
from engine.config import default_settings, load_settings
from engine.content import BYTES_MAX, CHARACTERS_MAX, Content, ContentError, Templates
from engine.errors import RequestError, UnknownCampaign
from engine.model import Campaign, answer_campaign, decode_campaign
from engine.orchestrator import Orchestrator
from engine.router import Router
from engine.scalars import decode_scalar, encode_scalar
from engine.segments import segments

NOW = 1_800_000_000
WELCOME: dict[str, Any] = {
    "email": {
        "subject": "{{ campaign.name }}: welcome, {{ name }}",
        "text": "Hello {{ name }}{% if unsubscribe_url %}, leave at {{ unsubscribe_url }}{% endif %}",
        "html": "<p>Hello {{ name }}</p>",
    },
    "sms": {"text": "Welcome, {{ name }}"},
}


def campaign_of(templates: object, **fields: Any) -> Campaign:
    return decode_campaign(msgspec.json.encode({"templates": templates, "name": "Spring"} | fields), "spring")


def templates_of(templates: object) -> Templates:
    return Templates(campaign_of(templates).templates)


def json_of(content: object) -> bytes | None:
    return None if content is None else msgspec.json.encode(content)


def faults_of_put(templates: object) -> list[tuple[str, str]]:
    with pytest.raises(RequestError) as raised:
        campaign_of(templates)
    assert raised.value.status == 400
    return raised.value.errors


def faults_of_send(templates: object, content: object, unsubscribe_url: str | None = "https://a.example/u") -> list:
    with pytest.raises(RequestError) as raised:
        templates_of(templates).check(json_of(content), "spring", "Spring", unsubscribe_url)
    error = raised.value
    path, message = error.errors[0]
    assert error.status == 400
    assert error.detail.startswith(f"The request is not valid: {path[1:]} {message}")
    return error.errors


# ---- putting ------------------------------------------------------------------------------------------------


def test_templates_are_answered_as_they_were_put() -> None:
    for templates in (WELCOME, {}, {"twitter": {"text": "a"}}, {"email": {"subject": "a", "html": "b"}}):
        campaign = campaign_of(templates)
        answer = msgspec.json.encode(answer_campaign(campaign, "active"), enc_hook=encode_scalar)
        assert msgspec.json.decode(answer)["templates"] == templates
        assert bool(campaign.templates) == bool(templates)
    assert decode_campaign(b"{}", "x").templates == campaign_of({}).templates


def test_a_campaign_that_was_written_down_before_there_were_templates_is_read() -> None:
    fields = msgspec.to_builtins(campaign_of({}), enc_hook=encode_scalar)
    assert fields.pop("templates") == {}
    written = msgspec.msgpack.encode(fields)
    assert msgspec.msgpack.decode(written, type=Campaign, dec_hook=decode_scalar) == campaign_of({})
    whole = msgspec.msgpack.encode(campaign_of(WELCOME), enc_hook=encode_scalar)
    assert msgspec.msgpack.decode(whole, type=Campaign, dec_hook=decode_scalar) == campaign_of(WELCOME)


@pytest.mark.parametrize(
    ("templates", "path", "message"),
    [
        (5, "/templates", "takes an object"),
        ({"fax": {"text": "a"}}, "/templates/fax", "is not a field here"),
        ({"sms": "a"}, "/templates/sms", "takes an object"),
        ({"sms": None}, "/templates/sms", "takes an object"),
        ({"sms": {}}, "/templates/sms/text", "is required"),
        ({"sms": {"text": 5}}, "/templates/sms/text", "takes a template of up to 65,536 bytes"),
        ({"sms": {"text": "é" * 32_769}}, "/templates/sms/text", "takes a template of up to 65,536 bytes"),
        ({"sms": {"text": "a", "html": "b"}}, "/templates/sms/html", "is not a field here"),
        ({"email": {"text": "a"}}, "/templates/email/subject", "is required"),
        ({"email": {"subject": "a"}}, "/templates/email", "takes text, html or both"),
        ({"email": {"subject": "a", "text": None}}, "/templates/email/text", "takes a template of up to 65,536 bytes"),
        (
            {"sms": {"text": "{{ unsubscribe_url }}"}},
            "/templates/sms/text",
            "cannot be used: it takes no unsubscribe_url, which only e-mail has (line 1)",
        ),
        (
            {"sms": {"text": "a\n{{ name.upper() }}"}},
            "/templates/sms/text",
            "cannot be used: it takes no calls (line 2)",
        ),
    ],
)
def test_what_is_wrong_with_a_template_has_its_path(templates: object, path: str, message: str) -> None:
    assert faults_of_put(templates) == [(path, message)]


def test_every_template_that_is_none_is_named() -> None:
    faults = faults_of_put(
        {"sms": {"text": "{{ a"}, "email": {"subject": "{{ a }", "text": "{{ a }}", "html": "{% b %}"}}
    )
    assert [path for path, _ in faults] == ["/templates/email/subject", "/templates/email/html", "/templates/sms/text"]
    assert all(message.endswith("(line 1)") for _, message in faults)
    assert campaign_of({"sms": {"text": "é" * 32_768}}).templates


# ---- checking -----------------------------------------------------------------------------------------------


def test_missing_values_are_named_by_template() -> None:
    assert faults_of_send(WELCOME, None) == [
        ("/content/name", f"is needed by {template}")
        for template in ("email/subject", "email/text", "email/html", "sms/text")
    ]


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("{{ person.name }}", "/content/person/name"),
        ("{{ person['a/b'] }}", "/content/person/a~1b"),
        ("{{ person.inner.deep.deeper }}", "/content/person/inner/deep"),
        ("{% for item in list %}{{ item.name }}{% endfor %}", "/content/list/1/name"),
        ("{{ list[7] }}", "/content/list/7"),
        ("{{ nobody.name }}", "/content/nobody"),
        ("{{ " + "n" * 100 + " }}", "/content/" + "n" * 64),
        ("{{ campaign.budget }}", "/content"),
        ("{{ word.name }}", "/content"),
        ("{{ none }}", "/content"),
        ("{{ list }}", "/content"),
    ],
)
def test_a_fault_leads_to_what_would_do(text: str, path: str) -> None:
    content = {"person": {"inner": {}}, "list": [{"name": "a"}, {}], "word": "w"}
    ((found, message),) = faults_of_send({"sms": {"text": text}}, content)
    assert found == path
    assert "sms/text" in message


def test_a_fault_without_a_field_says_the_line() -> None:
    faults = faults_of_send({"sms": {"text": "Hello\n{{ name }}"}}, {"name": None})
    assert faults == [("/content", "does not suit sms/text: it shows null (line 2)")]


@pytest.mark.parametrize("name", ["campaign", "unsubscribe_url"])
def test_the_templates_own_names_are_not_taken(name: str) -> None:
    content = {"name": "Ana", name: {"id": 1, "name": "x"}}
    assert faults_of_send(WELCOME, content) == [(f"/content/{name}", "is a name of the templates' own")]
    said = templates_of(WELCOME).render("email", json_of(content), "spring", "Spring", None)
    assert said.subject == "Spring: welcome, Ana"
    assert said.text == "Hello Ana"


@pytest.mark.parametrize(
    ("channel", "field", "value", "fault"),
    [
        ("email", "subject", "", "is empty"),
        ("email", "subject", " \t", "is empty"),
        ("email", "subject", "a\nBcc: all@example.com", "has a line break or another control character"),
        ("email", "subject", "a\rb", "has a line break or another control character"),
        ("email", "subject", "a\u2028b", "has a line break or another control character"),
        ("email", "subject", "a\0b", "has a line break or another control character"),
        ("email", "subject", "é" * 999, "is 999 characters long and takes up to 998"),
        ("email", "text", " ", "is empty"),
        ("sms", "text", "", "is empty"),
        ("sms", "text", "a" * 1_531, "is 11 segments long and takes up to 10"),
        ("sms", "text", "ç" * 671, "is 11 segments long and takes up to 10"),
        ("instagram", "text", "é" * 501, "is 1,002 bytes long and takes up to 1,000"),
        ("whatsapp", "text", "a" * 4_097, "is 4,097 characters long and takes up to 4,096"),
        ("facebook", "text", "a" * 2_001, "is 2,001 characters long and takes up to 2,000"),
        ("linkedin", "text", "a" * 8_001, "is 8,001 characters long and takes up to 8,000"),
        ("twitter", "text", "a" * 10_001, "is 10,001 characters long and takes up to 10,000"),
    ],
)
def test_a_channel_takes_so_much(channel: str, field: str, value: str, fault: str) -> None:
    templates: dict[str, Any] = {channel: {field: "{{ value }}"}}
    if channel == "email":
        templates = {"email": {"subject": "a", "text": "a"} | templates["email"]}
    expected = f"does not suit {channel}/{field}: it {fault}"
    assert faults_of_send(templates, {"value": value}) == [("/content", expected)]
    with pytest.raises(ContentError) as raised:
        templates_of(templates).render(channel, json_of({"value": value}), "spring", "Spring", None)
    assert raised.value.detail == f"{channel}/{field} {fault}"


def test_a_channel_takes_no_less() -> None:
    longest = {
        "sms": "a" * 1_530,
        "instagram": "é" * 500,
        **{channel: "a" * length for channel, length in CHARACTERS_MAX.items()},
    }
    assert set(longest) == {"sms", *BYTES_MAX, *CHARACTERS_MAX}
    templates: dict[str, Any] = {channel: {"text": f"{{{{ {channel} }}}}"} for channel in longest}
    templates["email"] = {"subject": "{{ subject }}", "html": "{{ linkedin }}"}
    content = longest | {"subject": "é" * 998}
    templates_of(templates).check(json_of(content), "spring", "Spring", None)
    assert segments(longest["sms"]) == 10


def test_a_link_that_is_shown_and_is_not_there_is_found() -> None:
    templates = {"email": {"subject": "a", "text": "{{ unsubscribe_url }}"}}
    templates_of(templates).check(None, "spring", "Spring", "https://a.example/u")
    assert faults_of_send(templates, None, unsubscribe_url=None) == [
        (
            "/content",
            "does not suit email/text: it shows null; unsubscribe_url is null without delivery.public_url (line 1)",
        )
    ]


# ---- saying -------------------------------------------------------------------------------------------------


def test_a_message_says_what_its_template_says() -> None:
    templates, content = templates_of(WELCOME), json_of({"name": "Ana & Bo", "subject": "unused"})
    said = templates.render("email", content, "spring", "Spring", "https://a.example/u")
    assert said == Content(
        "Spring: welcome, Ana & Bo", "Hello Ana & Bo, leave at https://a.example/u", "<p>Hello Ana &amp; Bo</p>"
    )
    assert templates.render("sms", content, "spring", "Spring", None) == Content(text="Welcome, Ana & Bo")


def test_without_a_template_a_message_says_its_content() -> None:
    templates = templates_of({"sms": {"text": "{{ name }}"}})
    content = json_of({"subject": "s", "text": "{{ t }}", "html": 5, "more": True})
    assert templates.render("email", content, "spring", "Spring", None) == Content("s", "{{ t }}", None)
    assert templates.render("email", None, "spring", "Spring", None) == Content()
    assert templates_of({}).render("sms", content, "spring", "Spring", None) == Content("s", "{{ t }}", None)


def test_what_cannot_be_said_any_more_names_its_field_and_nobody() -> None:
    content = json_of({"name": "ana@example.com", "by": {}})
    for text, detail in (
        ("{{ nickname }}", "sms/text needs nickname, which is not there"),
        ("{{ by[name] }}", "sms/text needs an item that is not there"),
        ("{{ name + 1 }}", "sms/text calculates with what is no number (line 1)"),
        ("{{ name > 1 }}", "sms/text fails: TypeError (line 1)"),
    ):
        with pytest.raises(ContentError) as raised:
            templates_of({"sms": {"text": text}}).render("sms", content, "spring", "Spring", None)
        assert str(raised.value) == detail


def test_templates_that_were_put_under_other_rules_stop_nobody() -> None:
    """As a later version reads them from a file."""
    old = msgspec.to_builtins(
        campaign_of({"sms": {"text": "a"}, "twitter": {"text": "{{ name }}"}}), enc_hook=encode_scalar
    )
    old["templates"]["sms"]["text"] = "{{ once_taken() }}"
    campaign = msgspec.convert(old, Campaign, dec_hook=decode_scalar)
    templates = Templates(campaign.templates)
    with pytest.raises(RequestError) as refused:
        templates.check(json_of({"name": "Ana"}), "spring", "Spring", None)
    assert refused.value.errors == [("/templates/sms/text", "cannot be used: it takes no calls (line 1)")]
    with pytest.raises(ContentError, match="sms/text cannot be used: it takes no calls"):
        templates.render("sms", None, "spring", "Spring", None)
    assert templates.render("twitter", json_of({"name": "Ana"}), "spring", "Spring", None).text == "Ana"
    shard = Orchestrator(1, default_settings(), Purse(), bytes(16))
    shard.put_campaign(campaign, False)
    with pytest.raises(RequestError):
        shard.decide(part_of({"name": "Ana"}))


# ---- requests -----------------------------------------------------------------------------------------------


class Purse:
    """No campaign here has a limit: nobody asks."""

    def acquire(self, *_: object) -> Any:
        raise AssertionError

    def elsewhere(self, _: str) -> Any:
        raise AssertionError


PEOPLE = [{"id": f"p-{number}", "contacts": {"email": "ana@example.com"}, "device": "mobile"} for number in range(40)]


def batch(content: object, **options: Any) -> dict[str, Any]:
    given = {} if content is None else {"content": content}
    return {"campaign_id": "spring", "recipients": PEOPLE} | given | options


def part_of(content: object, **options: Any) -> bytes:
    return Router(1).parse_batch(msgspec.json.encode(batch(content, **options))).part(0, NOW)


@pytest.mark.parametrize("options", [{}, {"dry_run": True}, {"explain": True}, {"channels": ["twitter"]}])
def test_nothing_is_decided_and_nothing_changed_where_content_does_not_suit(options: dict[str, Any]) -> None:
    engine = Engine(shards=3)
    engine.put_campaign({"id": "spring", "templates": WELCOME})
    before = engine.state_hashes()
    for content in (None, {}, {"name": None}, {"name": "Ana", "campaign": 1}):
        with pytest.raises(RequestError) as raised:
            engine.send_batch(batch(content, **options), NOW)
        assert raised.value.status == 400
        assert engine.state_hashes() == before
    assert engine.recipient("p-1", NOW) is None
    assert engine.send_batch(batch({"name": "Ana"}, **options), NOW)["counts"]["invalid"] == 0
    assert (engine.state_hashes() == before) == ("dry_run" in options)


def test_a_paused_campaign_refuses_it_too_and_one_without_templates_looks_at_nothing() -> None:
    engine = Engine()
    engine.put_campaign({"id": "spring", "templates": WELCOME})
    engine.put_campaign({"id": "other"})
    engine.pause("spring")
    with pytest.raises(RequestError):
        engine.send_batch(batch(None), NOW)
    assert engine.send_batch(batch({"campaign": 1}, campaign_id="other"), NOW)["counts"]["scheduled"] == len(PEOPLE)
    shard = Orchestrator(1, default_settings(), Purse(), bytes(16))
    shard.put_campaign(campaign_of(WELCOME), False)
    with pytest.raises(UnknownCampaign):
        shard.decide(part_of(None, campaign_id="nowhere"))


def test_the_templates_that_were_put_last_are_the_ones() -> None:
    engine = Engine()
    for templates, suits in ((WELCOME, False), ({"sms": {"text": "Hello"}}, True), (WELCOME, False), ({}, True)):
        engine.put_campaign({"id": "spring", "templates": templates, "limits": {"lookback_hours": 0}})
        for _ in range(2):  # compiled, and compiled already
            if suits:
                engine.send_batch(batch(None, dry_run=True), NOW)
            else:
                with pytest.raises(RequestError):
                    engine.send_batch(batch(None), NOW)


def test_a_claimed_part_keeps_nothing_and_its_first_answer_outlives_the_templates() -> None:
    shard = Orchestrator(1, default_settings(), Purse(), bytes(16))
    shard.put_campaign(campaign_of(WELCOME), False)

    def claim(content: object) -> Claim:
        return Claim.of("k", "/send-batch", msgspec.json.encode(batch(content)), NOW)

    assert shard.kept_part(claim(None)) is None
    before = shard.state_hash()
    with pytest.raises(RequestError):
        shard.decide_claimed(part_of(None), claim(None))
    assert shard.kept_part(claim(None)) is None
    assert shard.state_hash() == before
    first = shard.decide_claimed(part_of({"name": "Ana"}), claim({"name": "Ana"}))
    shard.put_campaign(campaign_of({"sms": {"text": "{{ other }}"}}), False)
    assert shard.decide_claimed(part_of({"name": "Ana"}), claim({"name": "Ana"})).answer == first.answer


def test_the_check_knows_whether_links_can_be_followed() -> None:
    templates = {"email": {"subject": "a", "text": "{{ unsubscribe_url }}"}}
    reached = load_settings(environment={"MADAN_SARA_DELIVERY__PUBLIC_URL": "https://a.example"})
    Engine(reached).put_campaign({"id": "spring", "templates": templates})
    engine = Engine(reached)
    engine.put_campaign({"id": "spring", "templates": templates})
    assert engine.send_batch(batch(None), NOW)["counts"]["scheduled"] == len(PEOPLE)
    engine = Engine()
    engine.put_campaign({"id": "spring", "templates": templates})
    with pytest.raises(RequestError, match=r"delivery\.public_url"):
        engine.send_batch(batch(None), NOW)
