"""A template: Jinja's, without whatever could reach beyond the values it gets, or take for ever."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import Any, NoReturn

from jinja2 import TemplateError, nodes

from engine.template_grammar import Bounded, check, meter
from engine.template_values import BUDGET, TEXT_BYTES_MAX, Budget, MissingValue, Sandbox, TemplateFault

__all__ = ["Template"]

FAULT_LENGTH_MAX = 200

_TEXT = Sandbox(False, Bounded)
_HTML = Sandbox(True, Bounded)


class Template:
    """A template that was found sound."""

    names: frozenset[str]
    """What it names, values and its own."""

    def __init__(self, source: str, escapes: bool, banned: Mapping[str, str]) -> None:
        """`escapes`: values go into HTML. `banned`: names that it may not use, and what to say then.

        Raises `TemplateFault`.
        """
        sandbox = _HTML if escapes else _TEXT
        try:
            parsed = sandbox.parse(source)
            check(parsed, banned)
            self.names = frozenset(node.name for node in parsed.find_all(nodes.Name))
            meter(parsed)
            self._template = sandbox.from_string(parsed)
        except TemplateFault:
            raise
        except TemplateError as error:
            message = (error.message or "is no template")[:FAULT_LENGTH_MAX].removesuffix(".")
            raise TemplateFault(f"has a fault: {message}", getattr(error, "lineno", None)) from None
        except (RecursionError, MemoryError, SyntaxError):
            raise TemplateFault("is nested too deeply") from None
        except ValueError:
            raise TemplateFault("has a number that is too long") from None

    def render(self, values: Mapping[str, Any], budget: Budget) -> str:
        """The text, with what the values say. Raises `TemplateFault`, of which a `MissingValue` is one."""
        context = self._template.new_context({**values, BUDGET: budget})
        try:
            return "".join(_bounded(self._template.root_render_func(context)))
        except MissingValue:
            raise
        except Exception as error:  # whatever JSON and a template can do to each other
            self._fail(error)

    def _fail(self, error: Exception) -> NoReturn:
        """Without the error's own words: they may show a value."""
        message = error.message if isinstance(error, TemplateFault) else f"fails: {type(error).__name__}"
        raise TemplateFault(message, self._line_of(error.__traceback__)) from None

    def _line_of(self, traceback: TracebackType | None) -> int | None:
        line = None
        while traceback is not None:
            if traceback.tb_frame.f_code.co_filename == "<template>":
                line = self._template.get_corresponding_lineno(traceback.tb_lineno)
            traceback = traceback.tb_next
        return line


def _bounded(pieces: Iterator[str]) -> Iterator[str]:
    size = 0
    for piece in pieces:
        try:
            size += len(piece.encode())
        except UnicodeEncodeError:
            raise TemplateFault("has half of a surrogate pair, which is no character") from None
        if size > TEXT_BYTES_MAX:
            raise TemplateFault(f"makes a text of more than {TEXT_BYTES_MAX:,} bytes")
        yield piece
