"""The HTTP front end and the command line: stateless, everything it answers comes from `actors`."""
