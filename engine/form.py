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

    def render(
        self, request: Request, answers: Mapping[int, bytes | None], batch_id: str | None
    ) -> tuple[bytes, list[tuple[str, str, int]]]:
        """The answer to a batch, and its tally; see `Replies`."""
        replies = request.replies(answers)
        rendered = replies.render_arrow_batch(batch_id) if self.arrow_answer else replies.render_batch(batch_id)
        return rendered, replies.tally()


JSON = Form()
"""In and out."""
