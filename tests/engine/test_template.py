"""Templates alone: what they say, what they may not be, and that each of them ends."""

from __future__ import annotations

import re
import string
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.template import Template
from engine.template_grammar import DEPTH_MAX, NODES_MAX
from engine.template_values import FILTERS, STEPS_MAX, TESTS, TEXT_BYTES_MAX, Budget, MissingValue, TemplateFault

ANA: dict[str, Any] = {
    "name": "Ana",
    "age": 41,
    "price": 12.5,
    "vip": True,
    "note": None,
    "items": [{"name": "Ti malice", "tags": ["hot"]}, {"name": "Pikliz", "tags": []}],
    "by_lang": {"ht": "Bonjou", "fr": "Bonjour"},
    "angle": "<b>&'",
}


def render(source: str, values: dict[str, Any] | None = None, escapes: bool = False) -> str:
    return Template(source, escapes, {}).render(ANA if values is None else values, Budget())


def refusal(source: str) -> TemplateFault:
    with pytest.raises(TemplateFault) as raised:
        Template(source, False, {})
    return raised.value


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("Hello {{ name }}, {{ age }} and {{ price }}!", "Hello Ana, 41 and 12.5!"),
        ("{% if vip %}VIP{% elif age > 40 %}old{% else %}new{% endif %}", "VIP"),
        ("{% for item in items if item.tags %}{{ loop.index }} {{ item.name }}{% endfor %}", "1 Ti malice"),
        ("{% for x in items %}{{ x.name }}{{ ', ' if not loop.last }}{% else %}none{% endfor %}", "Ti malice, Pikliz"),
        ("{% for lang, word in by_lang|items %}{{ lang }}={{ word }} {% endfor %}", "ht=Bonjou fr=Bonjour "),
        ("{% for a in [1, 2] %}{% for b in 'xy' %}{{ a }}{{ b }}{% endfor %}{% endfor %}", "1x1y2x2y"),
        ("{{ items|join(' & ', attribute='name') }}", "Ti malice & Pikliz"),
        ("{{ items[0].tags[0]|upper }} {{ items|length }} {{ (items|last).name }}", "HOT 2 Pikliz"),
        ("{{ {'ht': 'Bonswa', 'fr': 'Bonsoir'}['fr'] }}", "Bonsoir"),
        ("{{ name ~ '-' ~ age }} {{ (age + 1) * 2 - 4 // 2 }} {{ price / 5 }} {{ -age % 5 }}", "Ana-41 82 2.5 4"),
        ("{{ 'yes' if name in ['Ana', 'Bo'] and 'n' in name and age == 41 else 'no' }}", "yes"),
        ("{{ nobody|default('you') }} {{ note|default('none') }} {{ ''|d('empty', true) }}", "you none empty"),
        ("{{ 'set' if nobody is defined else 'unset' }} {{ 'odd' if age is odd }}", "unset odd"),
        (
            "{{ name[:2] }} {{ name[::-1] }} {{ name|reverse }} {{ '  a '|trim }} {{ 'aba'|replace('a', 'o') }}",
            "An anA anA a obo",
        ),
        ("{{ 2.345|round(2) }} {{ '7'|int + 1 }} {{ 'a b'|title }} {{ 'a b&'|urlencode }}", "2.35 8 A B a%20b%26"),
        ("{% raw %}{{ name }}{% endraw %}{# a comment #}", "{{ name }}"),
        ("{{ angle }} {{ angle|e }}", "<b>&' &lt;b&gt;&amp;&#39;"),
        ("{{ note is none }}", "True"),
        ("a\n", "a"),
    ],
)
def test_what_is_said(source: str, text: str) -> None:
    assert render(source) == text


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("<p>{{ angle }}</p>", "<p>&lt;b&gt;&amp;&#39;</p>"),
        ("{{ angle|safe }}", "<b>&'"),
        ("{{ angle|e }}", "&lt;b&gt;&amp;&#39;"),
        ("{{ '<i>' ~ angle }}", "&lt;i&gt;&lt;b&gt;&amp;&#39;"),
        ("{{ [angle, '<br>'|safe]|join('<hr>'|safe) }}", "&lt;b&gt;&amp;&#39;<hr><br>"),
        ("{{ '<br>'|safe|replace('br', angle) }}", "<&lt;b&gt;&amp;&#39;>"),
    ],
)
def test_values_are_escaped_in_html_once(source: str, text: str) -> None:
    assert render(source, escapes=True) == text


FORBIDDEN = {
    "{{ 'a' * 10**10 }}": "takes numbers on both sides of *; texts are joined by ~",
    "{{ name * 10**10 }}": "takes no powers (**)",
    "{{ '%1000000000d' % 1 }}": "takes numbers on both sides of %",
    "{% for i in range(10**9) %}{% endfor %}": "takes no calls",
    "{{ ''.__class__.__mro__ }}": "takes no self, and no names that begin with _",
    "{{ self }}": "takes no self",
    "{{ '{0.__class__}'.format(name) }}": "takes no calls",
    "{{ '%1000000000d'|format(1) }}": "takes no filter 'format'",
    "{{ 'a'|center(10**9) }}": "takes no filter 'center'",
    "{{ name|attr('__class__') }}": "takes no filter 'attr'",
    "{{ items|map('upper') }}": "takes no filter 'map'",
    "{{ name|pprint }}{{ name|tojson }}": "takes no filter 'pprint'",
    "{% if false %}{{ name|nothing }}{% endif %}": "takes no filter 'nothing'",
    "{{ name is sameas(1) }}": "takes no test 'sameas'",
    "{{ name|replace(*items) }}": "takes no * or ** of arguments",
    "{{ name|replace(**by_lang) }}": "takes no * or ** of arguments",
    "{{ lipsum() }}": "takes no calls",
    "{{ cycler('a') }}": "takes no calls",
    "{{ name.upper() }}": "takes no calls",
    "{% set x = name ~ name %}": "takes no set",
    "{% set x %}a{% endset %}": "takes no set",
    "{% with x = name %}{% endwith %}": "takes no with",
    "{% macro m() %}{% endmacro %}": "takes no macro",
    "{% filter upper %}a{% endfilter %}": "takes no filter blocks",
    "{% for x in items recursive %}{% endfor %}": "takes no recursive loops",
    "{% include 'passwd' %}": "takes no include",
    "{% extends 'passwd' %}": "takes no extends",
    "{% import 'os' as os %}": "takes no import",
    "{% from 'os' import path %}": "takes no imports",
    "{% block a %}{% endblock %}": "takes no block",
    "{% autoescape false %}{{ name }}{% endautoescape %}": "takes no autoescape",
    "{{ " + "(" * 60_000 + " }}": "nested too deeply",
    "{{ " + "-" * (DEPTH_MAX + 5) + "1 }}": "nested too deeply",
    "{% for a in b %}" * 25 + "{% endfor %}" * 25: "nested too deeply",
    "{{ a" + ".b" * 1_000 + " }}": "nested too deeply",
    "{{ a" + ".b" * 30_000 + " }}": f"has more than {NODES_MAX:,} parts",
    "{{ a }}" * NODES_MAX: f"has more than {NODES_MAX:,} parts",
    "{{ " + "9" * 60_000 + " }}": "has a number that is too long",
}


@pytest.mark.parametrize("source", FORBIDDEN, ids=lambda source: source[:40])
def test_what_could_reach_out_or_never_end_is_no_template(source: str) -> None:
    assert FORBIDDEN[source] in refusal(source).message


@pytest.mark.parametrize(
    ("source", "line"),
    [
        ("Hello {{ name", 1),
        ("a\nb {{ name }\n", 2),
        ("\n\n{% if name %}a", 3),
        ("a\n{% fly %}", 2),
        ("\n{{ name| }}", 2),
    ],
)
def test_a_fault_says_its_line(source: str, line: int) -> None:
    fault = refusal(source)
    assert fault.message.startswith("has a fault: ")
    assert str(fault).endswith(f"(line {line})")
    assert refusal("\n\n{{ name() }}").line == 3


BIG = "x" * 30_000
LIST = list(range(15_000))
HOSTILE = {
    "{% for a in list %}{% for b in list %}{% endfor %}{% endfor %}": "takes more than",
    "{% for a in big %}{% for b in big %}{% for c in big %}{% endfor %}{% endfor %}{% endfor %}": "takes more than",
    "{% for a in list %}{% if big|upper == 'a' %}{% endif %}{% endfor %}": "takes more than",
    "{% for a in list %}{% if -1 in list %}{% endif %}{% endfor %}": "takes more than",
    "{% for a in list %}{% if list[1:] %}{% endif %}{% endfor %}": "takes more than",
    "{% for a in list %}{{ big }}{% endfor %}": "makes a text of more than",
    "{{ list|join(big) }}": "makes a text of more than",
    "{{ '" + "a" * 500 + "'|replace('a', big) }}": "makes a text of more than",
    "{{ big|replace('', big) }}": "makes a text of more than",
    "{{ " + " ~ ".join(["big"] * 700) + " }}": "takes more than",
    "{{ [" + ", ".join(["big"] * 20) + "]|join }}": "makes a text of more than",
    "{{ signs" + "|urlencode" * 8 + "|length }}": "makes a text of more than",
    "{{ big * 1000000 }}": "calculates with what is no number",
    "{{ form % 1 }}": "calculates with what is no number",
    "{{ form is divisibleby(3) }}": "calculates with what is no number",
    "{{ form is odd }}": "calculates with what is no number",
    "{{ 4611686018427387904 * 4 * 4 }}": "calculates with more than 64 bits",
    "{{ huge }}": "fails: ValueError",
    "{{ 1.5|round(1000000000) }}": "rounds to more than",
    "{{ 1 // 0 }}": "divides by zero",
    "{{ list }}": "shows a list or an object",
    "{{ '\\ud800' }}": "has half of a surrogate pair",
    "{{ list|upper }}": "takes a list or an object for a text",
    "{{ list ~ 'a' }}": "takes a list or an object for a text",
    "{{ 'a' if list == list }}": "takes a list or an object for a text",
    "{{ 'a' if list in [list] }}": "takes a list or an object for a text",
    "{% for a in 5 %}{% endfor %}": "loops over what is no list",
    "{% for a in list %}{{ loop }}{% endfor %}": "shows a list or an object",
    "{{ big < 5 }}": "fails: TypeError",
    "{{ null }}": "shows null",
    "{{ null|title }}": "takes null for a text",
}


@pytest.mark.parametrize("source", HOSTILE, ids=lambda source: source[:40])
def test_a_template_ends_whatever_the_values_are(source: str) -> None:
    values = {"list": LIST, "big": BIG, "form": "%1000000000d", "signs": "%" * 30_000, "huge": 10**5_000, "null": None}
    with pytest.raises(TemplateFault) as raised:
        render("\n" + source, values)
    assert HOSTILE[source] in raised.value.message
    assert raised.value.line in (2, None)


def test_what_is_taken_reaches_to_the_bounds() -> None:
    turns = STEPS_MAX // 7  # the loop, its list, its item, the output and three parts of it
    assert render("{% for x in list %}{{ x }} {% endfor %}", {"list": [1] * (turns - 1)}) == "1 " * (turns - 1)
    with pytest.raises(TemplateFault, match="takes more than"):
        render("{% for x in list %}{{ x }} {% endfor %}", {"list": [1] * (turns * 2)})
    assert len(render("{{ a }}{{ b }}", {"a": "é" * (TEXT_BYTES_MAX // 2 - 1), "b": "xy"})) == TEXT_BYTES_MAX // 2 + 1
    with pytest.raises(TemplateFault, match="makes a text"):
        render("{{ a }}{{ b }}", {"a": "é" * (TEXT_BYTES_MAX // 2 - 1), "b": "xyz"})


def test_templates_share_their_budget() -> None:
    template, budget = Template("{% for x in list %}{% endfor %}", False, {}), Budget()
    values = {"list": [0] * (STEPS_MAX // 10)}  # two parts a turn: the list and its item
    assert [template.render(values, budget) for _ in range(5)] == [""] * 5
    with pytest.raises(TemplateFault, match="takes more than"):
        template.render(values, budget)
    assert template.render(values, Budget()) == ""


@pytest.mark.parametrize(
    ("source", "parent", "name"),
    [
        ("{{ nobody }}", None, "nobody"),
        ("{{ nobody.name }}", None, "nobody"),
        ("{{ by_lang.en }}", ANA["by_lang"], "en"),
        ("{{ by_lang['en'] }}", ANA["by_lang"], "en"),
        ("{{ by_lang[name] }}", ANA["by_lang"], "Ana"),
        ("{{ by_lang.en.short }}", ANA["by_lang"], "en"),
        ("{% for item in items %}{{ item.cost }}{% endfor %}", ANA["items"][0], "cost"),
        ("{{ items|join(attribute='cost') }}", ANA["items"][0], "cost"),
        ("{{ items[2] }}", ANA["items"], 2),
        ("{{ name.first }}", "Ana", "first"),
        ("{{ name.upper }}", "Ana", "upper"),
        ("{{ items.append }}", ANA["items"], "append"),
        ("{{ by_lang.keys }}", ANA["by_lang"], "keys"),
        ("{% if nobody %}{% endif %}", None, "nobody"),
        ("{% for a in nobody %}{% endfor %}", None, "nobody"),
        ("{{ 'a' if nobody == 'a' }}", None, "nobody"),
        ("{{ nobody + 1 }}", None, "nobody"),
        ("{{ nobody|upper }}", None, "nobody"),
        ("{{ name ~ nobody }}", None, "nobody"),
        ("{{ []|first }}", None, None),
    ],
)
def test_what_is_not_there_is_named(source: str, parent: object, name: object) -> None:
    with pytest.raises(MissingValue) as raised:
        render(source)
    assert (raised.value.parent, raised.value.name) == (parent, name)
    assert "Ana" not in str(raised.value), "a value may be of a person"


def test_objects_have_fields_and_nothing_else() -> None:
    values = {"order": {"items": ["a"], "keys": "k", "_id": 7}, "loop": "mine"}
    assert render("{{ order['items'][0] }}{{ order.keys }}{{ order['_id'] }}{{ loop }}", values) == "ak7mine"


def test_the_guide_names_every_filter_and_test() -> None:
    guide = (Path(__file__).parents[2] / "docs" / "orchestrator-guide.md").read_text("utf-8")
    _, filters, tests = re.split(r"Filters are |\ntests are ", guide)
    assert re.findall(r"`(\w+)`", filters) == sorted(FILTERS)
    assert re.findall(r"`(\w+)`", tests.partition(".")[0]) == sorted(TESTS)


# ---- whatever comes -----------------------------------------------------------------------------------------

PIECES = st.sampled_from(
    [
        *("{{ ", " }}", "{% if ", "{% for a in ", "{% else %}", "{% elif ", "{% endif %}", "{% endfor %}", " %}", "{#"),
        *("#}", "{% raw %}", "{% endraw %}", "{%- ", " -}}", "\n", "'", '"', "\\", "(", ")", "[", "]", "{", "}", ":"),
        *(" in ", " not ", " and ", " or ", " is ", " if ", " else ", "==", "<", "!=", "+", "-", "*", "**", "/", "//"),
        *("%", "~", "|", ",", ".", "=", "loop", "self", "name", "items", "by_lang", "age", "note", "nobody", "true"),
        *("none", "1", "2.5", "1e9", "9" * 30, "'a'", "[1, 'b']", "{'a': items}", "\u2028", "\ud83d\ude00"),
        *(f"|{name}" for name in FILTERS),
        *(f" is {name}" for name in TESTS),
    ]
)
OPERANDS = st.sampled_from(
    ["name", "items", "by_lang", "age", "note", "nobody", "vip", "'a%'", "3", "2.5", "[1, 'b']", "x"]
)


def _larger(smaller: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    signs = st.sampled_from([" + ", " * ", " - ", " / ", " // ", " % ", " ~ ", " == ", " < ", " in ", " and ", " or "])
    filtered = st.builds("({}|{})".format, smaller, st.sampled_from([*FILTERS, "replace('a', name)", "truncate(5)"]))
    tested = st.builds("({} is {})".format, smaller, st.sampled_from([name for name in TESTS if name != "divisibleby"]))
    inside = st.builds("{}{}".format, smaller, st.sampled_from([".name", "[0]", "['ht']", "[1:]", "[::-1]", ".items"]))
    return st.one_of(
        st.builds("({}{}{})".format, smaller, signs, smaller),
        st.builds("({} if {} else {})".format, smaller, smaller, smaller),
        *(filtered, tested, inside, st.builds("(not {})".format, smaller)),
    )


EXPRESSIONS = st.recursive(OPERANDS, _larger, max_leaves=6)
SOUND = st.builds(
    "{{% for x in {} %}}{{% if {} %}}{{{{ {} }}}}{{% endif %}}{{% endfor %}}{{{{ {} }}}}".format,
    *(EXPRESSIONS, EXPRESSIONS, EXPRESSIONS, EXPRESSIONS),
)


@settings(max_examples=300, deadline=None)
@given(st.one_of(st.lists(PIECES, max_size=14).map("".join), st.text(string.printable, max_size=60), SOUND))
def test_any_text_is_a_template_or_refused_and_any_template_ends(source: str) -> None:
    try:
        template = Template(source, escapes=len(source) % 2 == 0, banned={})
    except TemplateFault:
        return
    try:
        text = template.render(ANA, Budget())
    except TemplateFault:
        return
    assert type(text) is str
    assert len(text.encode()) <= TEXT_BYTES_MAX
