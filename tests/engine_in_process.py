"""An engine behind the calls of a duel."""

from __future__ import annotations

import tomllib
from inspect import signature
from pathlib import Path
from typing import Any

from engine import Engine
from engine.config import Settings
from engine.errors import MadanSaraError
from tests.reference import Refused

DEFAULTS = tomllib.loads((Path(__file__).parents[1] / "engine" / "defaults.toml").read_text("utf-8"))


class EngineInProcess:
    """All shards in this process."""

    def __init__(self, shards: int = 1, settings: Settings | None = None) -> None:
        self.engine = Engine(settings, shards)

    def state_hashes(self) -> list[str]:
        return self.engine.state_hashes()

    def __getattr__(self, call: str) -> Any:
        """The engine's call of that name. Where it needs no `now`, ours is left out."""
        method = getattr(self.engine, call)
        timeless = "now" not in signature(method).parameters and call not in ("pause", "resume", "lift")

        def ask(*arguments: Any) -> Any:
            try:
                return method(*(arguments[:-1] if timeless else arguments))
            except MadanSaraError as error:
                raise Refused(error.status) from error

        return ask
