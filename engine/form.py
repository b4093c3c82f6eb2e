"""How a batch comes in and how its answer goes out: JSON, or Arrow streams."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from engine._core import Request

__all__ = ["JSON", "Form"]


class Form(NamedTuple):
    """Of a batch and of its answer, each on its own."""

    options: bytes | None = None
    """Where the body is an Arrow stream of the recipients: all else of the request, a JSON object."""
    arrow_answer: bool = False

    def render(self, request: Request, answers: Mapping[int, bytes | None], batch_id: str | None) -> bytes:
        """The answer to a batch; see `Request`."""
        if self.arrow_answer:
            return request.render_arrow_batch(answers, batch_id)
        return request.render_batch(answers, batch_id)


JSON = Form()
"""In and out."""
