"""What a benchmark hands back."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Result:
    """`headline` is the figure in a few words, `target` what it has to reach (empty: none), `method` one line.

    `reached` is None where there is no target. `figures` holds every number, for machines. `rows` are lines of the
    table that belong to it: a name and a sentence each.
    """

    name: str
    headline: str
    target: str
    reached: bool | None
    method: str
    figures: dict[str, object] = field(default_factory=dict)
    rows: tuple[tuple[str, str], ...] = ()

    def as_dict(self) -> dict[str, object]:
        """For JSON, under its name: the figures stand beside what they mean."""
        told = {"headline": self.headline, "target": self.target, "reached": self.reached, "method": self.method}
        assert told.keys().isdisjoint(self.figures), "a figure may not hide what it means"
        return {**told, **self.figures}


class AnswersWrong(Exception):  # noqa: N818
    """The product answered fast but wrongly: there is no figure to give."""
