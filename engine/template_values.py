"""What templates do with values: filters, tests, operators, and what is inside of what.

The rule: a template sees JSON and nothing behind it, and whatever takes longer than a step or makes more than a piece
of text is counted before it is done. Counting, and not a clock, decides: the same template and values always end the
same.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from functools import partial
from typing import Any, cast

from jinja2 import StrictUndefined, Undefined, pass_context
from jinja2 import filters as jinja_filters
from jinja2 import tests as jinja_tests
from jinja2.ext import Extension
from jinja2.runtime import Context, LoopContext
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import missing
from markupsafe import Markup, escape

__all__ = [
    "BUDGET",
    "FILTERS",
    "OF_LISTS",
    "TESTS",
    "TEXT_BYTES_MAX",
    "Budget",
    "MissingValue",
    "Sandbox",
    "TemplateFault",
]

STEPS_MAX = 100_000
"""Of all templates that share a budget: two tenths of a second at worst."""

TEXT_BYTES_MAX = 256 * 1024
"""Of what one template makes, and of every text on the way."""

NUMBER_MAX = 2**63
PRECISION_MAX = 15
CHARACTERS_A_STEP = 16

BUDGET = "the budget"
"""Where the context has it: no name has a blank."""


class TemplateFault(Exception):  # noqa: N818
    """What a template may not do, in words that follow "it", and in which line."""

    def __init__(self, message: str, line: int | None = None) -> None:
        super().__init__(message, line)
        self.message = message
        self.line = line

    def __str__(self) -> str:
        return self.message if self.line is None else f"{self.message} (line {self.line})"


class MissingValue(TemplateFault):
    """A value that is not there."""

    def __init__(self, parent: Any, name: Any, message: str) -> None:
        """`parent` is the object or list that should have it, None for the values themselves; `name` may be None."""
        super().__init__(message)
        self.parent = parent
        self.name = name


class Budget:
    """Steps that are left. Not for two threads at once."""

    def __init__(self) -> None:
        self._left = STEPS_MAX

    def spend(self, steps: int) -> None:
        """Raises `TemplateFault` where none are left."""
        self._left -= steps
        if self._left < 0:
            raise TemplateFault(f"takes more than {STEPS_MAX:,} steps")


class _Missing(StrictUndefined):
    """Raises `MissingValue` where Jinja raises a sentence."""

    __slots__ = ()

    def __init__(self, hint: str | None = None, obj: Any = missing, name: Any = None, exc: Any = None) -> None:
        parent = None if obj is missing else obj
        what = "a value that" if name is None else hint or f"{name}, which"
        super().__init__(f"needs {what} is not there", obj, name, cast("Any", partial(MissingValue, parent, name)))


# ---- what filters, tests and operators do -------------------------------------------------------------------


def _size(value: Any) -> int:
    if isinstance(value, str):
        return len(value) // CHARACTERS_A_STEP
    return len(value) if isinstance(value, list | tuple | dict) else 0


def _spend(context: Context, steps: int) -> None:
    context[BUDGET].spend(steps)


@pass_context
def _looped(context: Context, value: Any, weight: int) -> Any:
    """What a loop goes through; `weight` is the size of its body."""
    if isinstance(value, str | list | tuple | dict):
        _spend(context, weight * len(value))
    elif not isinstance(value, Undefined):
        raise TemplateFault("loops over what is no list")
    return value


@pass_context
def _sized(context: Context, value: Any) -> Any:
    """A value that is looked at as a whole, but not into."""
    _spend(context, 1 + _size(value))
    return value


@pass_context
def _plain(context: Context, value: Any) -> Any:
    """A text, a number, true, false or null."""
    if isinstance(value, str) and len(value) > TEXT_BYTES_MAX:
        raise TemplateFault(f"makes a text of more than {TEXT_BYTES_MAX:,} bytes")
    if not isinstance(value, str | int | float | Undefined) and value is not None:
        raise TemplateFault("takes a list or an object for a text or a number")
    return _sized(context, value)


@pass_context
def _said(context: Context, value: Any) -> Any:
    """As `_plain`, where null would be read by people as a word."""
    if value is None:
        raise TemplateFault("takes null for a text or a number")
    return _plain(context, value)


def _shown(value: Any) -> Any:
    """What `{{ }}` shows."""
    if value is None:
        raise TemplateFault("shows null")
    if not isinstance(value, str | int | float | Undefined):
        raise TemplateFault("shows a list or an object")
    return value


def _number(value: Any) -> int | float:
    if isinstance(value, Undefined):
        str(value)  # raises what is missing
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise TemplateFault("calculates with what is no number")
    if abs(value) > NUMBER_MAX:
        raise TemplateFault("calculates with more than 64 bits")
    return value


OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "//": operator.floordiv,
    "%": operator.mod,
}


def _calculated(sign: str, left: Any, right: Any) -> Any:
    try:
        return OPERATORS[sign](_number(left), _number(right))
    except ZeroDivisionError:
        raise TemplateFault("divides by zero") from None


def _default(value: Any, instead: Any = "", is_false_too: bool = False) -> Any:
    """Jinja's, but null counts as missing."""
    return instead if isinstance(value, Undefined) or value is None or (is_false_too and not value) else value


@pass_context
def _join(context: Context, value: Any, between: str = "", attribute: str | int | None = None) -> str:
    """Jinja's, of lists of texts and numbers."""
    if not isinstance(value, list | tuple):
        raise TemplateFault("joins what is no list")
    texts: list[Any] = []
    for item in value:
        part = item if attribute is None else context.environment.getitem(item, attribute)
        texts.append(_said(context, part))
    length = len(str(between)) * len(texts) + sum(len(str(text)) for text in texts)
    if length > TEXT_BYTES_MAX:
        raise TemplateFault(f"makes a text of more than {TEXT_BYTES_MAX:,} bytes")
    if context.eval_ctx.autoescape and any(isinstance(text, Markup) for text in (between, *texts)):
        return escape(between).join(map(escape, texts))
    return str(between).join(map(str, texts))


def _replace(value: Any, old: str, new: str) -> str:
    text = value if isinstance(value, str) else str(value)
    if len(text) + text.count(old) * len(new) > TEXT_BYTES_MAX:
        raise TemplateFault(f"makes a text of more than {TEXT_BYTES_MAX:,} bytes")
    return text.replace(old, new)


def _round(value: Any, precision: int = 0) -> int | float:
    if not isinstance(precision, int) or abs(precision) > PRECISION_MAX:
        raise TemplateFault(f"rounds to more than {PRECISION_MAX} digits")
    return round(_number(value), precision)


def _trim(value: Any) -> str:
    return (value if isinstance(value, str) else str(value)).strip()


def _reverse(value: Any) -> Any:
    return value[::-1]


def _items(value: Any) -> list[tuple[str, Any]]:
    return list(value.items())


AS_IN_JINJA = (
    *("abs", "capitalize", "escape", "first", "float", "int", "last", "length", "lower", "safe", "title", "truncate"),
    *("upper", "urlencode"),
)
FILTERS: dict[str, Callable[..., Any]] = {
    **{name: jinja_filters.FILTERS[name] for name in AS_IN_JINJA},
    "count": len,
    "d": _default,
    "default": _default,
    "e": escape,
    "items": _items,
    "join": _join,
    "replace": _replace,
    "reverse": _reverse,
    "round": _round,
    "trim": _trim,
}

OF_LISTS = frozenset({"count", "d", "default", "first", "items", "join", "last", "length", "reverse"})
"""Filters that take a list or an object."""

_JINJAS_TESTS: dict[str, Any] = jinja_tests.TESTS
TESTS: dict[str, Callable[..., Any]] = {
    **{
        name: _JINJAS_TESTS[name]
        for name in ("boolean", "defined", "mapping", "none", "number", "sequence", "string", "undefined")
    },
    "divisibleby": lambda value, divisor: _calculated("%", value, divisor) == 0,
    "even": lambda value: _calculated("%", value, 2) == 0,
    "odd": lambda value: _calculated("%", value, 2) == 1,
}

LOOP_FIELDS = frozenset(
    {"depth", "depth0", "first", "index", "index0", "last", "length", "nextitem", "previtem", "revindex", "revindex0"}
)


class Sandbox(ImmutableSandboxedEnvironment):
    """Jinja's environment, with these filters, tests and operators, and no globals."""

    intercepted_binops = frozenset({*OPERATORS, "**"})

    def __init__(self, escapes: bool, extension: type[Extension]) -> None:
        """`escapes`: values go into HTML."""
        super().__init__(autoescape=escapes, undefined=_Missing, finalize=_shown, extensions=[extension], cache_size=0)
        self.globals.clear()
        self.filters = FILTERS | {"(looped)": _looped, "(sized)": _sized, "(plain)": _plain, "(said)": _said}
        self.tests = dict(TESTS)

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        return _calculated(operator, left, right)

    def getattr(self, obj: Any, attribute: str) -> Any:
        return _inside(obj, attribute, lambda: self.undefined(obj=obj, name=attribute))

    def getitem(self, obj: Any, argument: Any) -> Any:
        # The argument may be a value, which no error repeats.
        return _inside(obj, argument, lambda: self.undefined("an item that", obj=obj, name=argument))


def _inside(obj: Any, name: Any, undefined: Callable[[], Undefined]) -> Any:
    """A field of an object, an item of a list, a fact about a loop: nothing else has anything inside."""
    if isinstance(obj, Undefined):
        str(obj)  # raises what is missing
    try:
        if isinstance(obj, LoopContext) and name in LOOP_FIELDS:
            return getattr(obj, name)
        return obj[name] if isinstance(obj, dict | list | tuple) else undefined()
    except (LookupError, TypeError):
        return undefined()
