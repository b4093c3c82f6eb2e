"""How speed, waiting and memory grow: a curve a file, each point measured and its answers checked as the one figure."""
