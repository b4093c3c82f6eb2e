"""The decision, in process: no Ray, no HTTP, no clock, no disk of its own."""
