"""What a benchmark hands back."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field


@dataclass(frozen=True, slots=True)
class Result:
    """`headline` is the figure in a few words, `target` what it has to reach (empty: none), `method` one line.

    `reached` is None where there is no target. `figures` holds every number, for machines.
    """

    name: str
    headline: str
    target: str
    reached: bool | None
    method: str
    figures: dict[str, object] = field(default_factory=dict)

    def as_dict(self) -> dict[str, object]:
        """For JSON."""
        return asdict(self)


class AnswersWrong(Exception):  # noqa: N818
    """The product answered fast but wrongly: there is no figure to give."""
