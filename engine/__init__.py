"""The decision, in process: no Ray, no HTTP, no clock, no disk of its own."""

from engine.local import Engine

__all__ = ["Engine"]
