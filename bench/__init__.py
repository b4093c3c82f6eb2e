"""The demo and the benchmarks: they start the product as its user would and talk to it over HTTP."""
