"""What a template may be made of, and what of it is counted.

The rule: there are no calls, no assignments, no macros and no other templates, so that what a template does is bounded
by its own length and by its loops. Every turn of a loop, and everything that a filter, a comparison or a slice
goes through, is counted by `engine.template_values`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, cast

from jinja2 import nodes
from jinja2.ext import Extension
from jinja2.lexer import Token, TokenStream
from jinja2.visitor import NodeTransformer

from engine.template_values import FILTERS, OF_LISTS, TESTS, TemplateFault

__all__ = ["Bounded", "check", "meter"]

TOKENS_MAX = 6_000
"""More are not even read: no sound template of so many parts has more."""

NODES_MAX = 2_000
DEPTH_MAX = 40
NAME_LENGTH_MAX = 64

ARITHMETIC = (nodes.Add, nodes.Sub, nodes.Mul, nodes.Div, nodes.FloorDiv, nodes.Mod)
TAKEN = (
    *(nodes.Template, nodes.Output, nodes.TemplateData, nodes.If, nodes.For, nodes.CondExpr),
    *(nodes.Name, nodes.Const, nodes.List, nodes.Tuple, nodes.Dict, nodes.Pair, nodes.Keyword),
    *(nodes.Filter, nodes.Test, nodes.Getattr, nodes.Getitem, nodes.Slice, nodes.Concat),
    *(nodes.Compare, nodes.Operand, nodes.And, nodes.Or, nodes.Not, nodes.Neg, nodes.Pos, *ARITHMETIC),
)
CALLED: dict[type[nodes.Node], str] = {
    nodes.Assign: "set",
    nodes.AssignBlock: "set",
    nodes.Call: "calls",
    nodes.CallBlock: "calls",
    nodes.FilterBlock: "filter blocks",
    nodes.FromImport: "imports",
    nodes.Pow: "powers (**)",
    nodes.Scope: "autoescape",
}
"""What is not taken, where the name of its kind does not say it."""


class Bounded(Extension):
    """Stops reading a template that is too long."""

    def filter_stream(self, stream: TokenStream) -> Iterator[Token]:
        for count, token in enumerate(stream):
            if count >= TOKENS_MAX:
                raise TemplateFault(f"has more than {NODES_MAX:,} parts", token.lineno)
            yield token


def check(template: nodes.Template, banned: Mapping[str, str]) -> None:
    """Raises `TemplateFault` for the first thing that is not taken.

    `banned`: names that it may not use, and what to say then.
    """
    count = 0
    left: list[tuple[nodes.Node, int]] = [(template, 0)]
    while left:
        node, depth = left.pop()
        count += 1
        if count > NODES_MAX:
            raise TemplateFault(f"has more than {NODES_MAX:,} parts")
        if depth > DEPTH_MAX:
            raise TemplateFault("is nested too deeply", node.lineno)
        if fault := _fault_of(node, banned):
            raise TemplateFault(fault, node.lineno)
        left += [(child, depth + 1) for child in reversed(list(node.iter_child_nodes()))]


def _fault_of(node: nodes.Node, banned: Mapping[str, str]) -> str | None:  # noqa: PLR0911 - a fault each
    if type(node) not in TAKEN:
        return f"takes no {CALLED.get(type(node), type(node).__name__.lower())}"
    match node:
        case nodes.Name(name=name) if name in banned:
            return banned[name]
        case nodes.Name(name=name) | nodes.Getattr(attr=name) if name.startswith("_") or name == "self":
            return "takes no self, and no names that begin with _"
        case nodes.Filter(name=name) if name not in FILTERS:
            return f"takes no filter {name[:NAME_LENGTH_MAX]!r}, but {', '.join(sorted(FILTERS))}"
        case nodes.Test(name=name) if name not in TESTS:
            return f"takes no test {name[:NAME_LENGTH_MAX]!r}, but {', '.join(sorted(TESTS))}"
        case nodes.Filter(dyn_args=args, dyn_kwargs=kwargs) | nodes.Test(dyn_args=args, dyn_kwargs=kwargs):
            return "takes no * or ** of arguments" if args or kwargs else None
        case nodes.For(recursive=True):
            return "takes no recursive loops"
        case nodes.BinExpr(operator=sign, left=left, right=right) if type(node) in ARITHMETIC:
            if any(isinstance(side, nodes.Const) and not isinstance(side.value, int | float) for side in (left, right)):
                return f"takes numbers on both sides of {sign}; texts are joined by ~"
    return None


def meter(template: nodes.Template) -> None:
    """Sends whatever may take longer than a step through a filter that counts it, or refuses it."""
    _Meter().visit(template)


class _Meter(NodeTransformer):
    def visit_For(self, node: nodes.For) -> nodes.Node:  # noqa: N802 - Jinja calls it by the node's name
        weight = sum(1 for _ in node.find_all(nodes.Node))
        self.generic_visit(node)
        node.iter = _through("looped", cast("nodes.Expr", node.iter), weight)
        return node

    def visit_Filter(self, node: nodes.Filter) -> nodes.Node:  # noqa: N802
        self.generic_visit(node)
        node.node = _through("sized" if node.name in OF_LISTS else "said", cast("nodes.Expr", node.node))
        return node

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:  # noqa: N802
        self.generic_visit(node)
        node.nodes = [_through("said", part) for part in node.nodes]
        return node

    def visit_Getitem(self, node: nodes.Getitem) -> nodes.Node:  # noqa: N802
        self.generic_visit(node)
        if isinstance(node.arg, nodes.Slice):
            node.node = _through("sized", node.node)
        return node

    def visit_Compare(self, node: nodes.Compare) -> nodes.Node:  # noqa: N802
        """Lists are compared with nothing, and looked through only by a lone `in`."""
        self.generic_visit(node)
        node.expr = _through("plain", node.expr)
        is_lone = len(node.ops) == 1
        for operand in node.ops:
            looks_through = is_lone and operand.op in ("in", "notin")
            operand.expr = _through("sized" if looks_through else "plain", operand.expr)
        return node


def _through(name: str, value: nodes.Expr, *arguments: int) -> nodes.Expr:
    place: dict[str, Any] = {"lineno": value.lineno, "environment": value.environment}
    constants = [nodes.Const(argument, **place) for argument in arguments]
    return nodes.Filter(value, f"({name})", constants, [], None, None, **place)
