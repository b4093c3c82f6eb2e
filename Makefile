# Madan Sara. `make` lists what there is; every target sets up what it needs.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.SUFFIXES:

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export PIP_CONSTRAINT := $(CURDIR)/constraints.txt
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export RAY_USAGE_STATS_ENABLED := 0

CORE := $(shell find engine/src -name '*.rs') engine/Cargo.toml Cargo.toml Cargo.lock pyproject.toml
ARGS ?=

.PHONY: help demo serve test test-long test-mutants faults bench lint format rust-test python-test clean

help: ## lists the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(VENV)/.built ## replays a grocer's real year through the HTTP API and delivers it (four minutes; ARGS=--smtp by mail, ten)
	@$(BIN)/madan-sara demo $(ARGS)

serve: $(VENV)/.built ## starts the server on 127.0.0.1:8080 (ARGS="--port 9000 …")
	@$(BIN)/madan-sara serve $(ARGS)

test: lint rust-test python-test ## everything that must pass: lint, types, layers, Rust and Python tests

test-long: $(VENV)/.built ## two million decisions of fresh seeds against the reference model, on all cores
	$(BIN)/python -m tests.volume --decisions 2000000 $(ARGS)
	MADAN_SARA_LONG=1 $(BIN)/pytest tests/engine/test_against_reference.py -k SmallHistories

test-mutants: $(VENV)/.built ## seeds faults in the rules, one at a time: the tests must catch each (ARGS="--only TEXT")
	$(BIN)/python -m tests.mutants $(ARGS)

faults: $(VENV)/.built ## makes faults by the thousand: kills, cuts, damage; nothing acknowledged may be lost (ARGS="--only kills --count 40")
	$(BIN)/python -m tests.faults $(ARGS)

bench: $(VENV)/.built ## measures the speed, checks the answers, exits 1 below a target (ARGS="--only http_send --json FILE")
	@$(BIN)/madan-sara bench $(ARGS)
	@$(if $(ARGS),,$(BIN)/pytest bench/micro -q -o addopts=--import-mode=importlib --benchmark-columns=median,iqr,rounds)

lint: $(VENV)/.built ## ruff, mypy, the boundary's stubs, import layers, rustfmt, clippy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/stubtest engine._core
	$(BIN)/lint-imports --no-cache
	cargo fmt --check
	cargo clippy --quiet --all-targets -- -D warnings

format: $(VENV)/.built ## puts Python and Rust into shape
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	cargo fmt

rust-test: $(VENV)/.tools ## unit tests of the core, without Python
	cargo test --quiet --no-default-features

python-test: $(VENV)/.built ## Python tests
	$(BIN)/pytest $(ARGS)

clean: ## removes everything that was set up or built
	rm -rf $(VENV) target engine/_core*.so .pytest_cache .mypy_cache .ruff_cache .hypothesis .benchmarks .import_linter_cache
	find . -name __pycache__ -prune -exec rm -rf {} +

# Tools that pip cannot bring: say in one line what is missing.
$(VENV)/.tools:
	@command -v $(PYTHON) >/dev/null || { echo "$(PYTHON) is missing: install Python 3.11 or newer."; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "$(PYTHON) does not run or is too old: install Python 3.11 or newer and run make PYTHON=python3.11"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "Python's venv is missing: install it (Debian: apt-get install python3-venv) and run make again."; exit 1; }
	@cargo --version 2>/dev/null | awk '{split($$2, version, "."); exit !(version[1] > 1 || version[2] >= 88)}' && cargo --version >/dev/null 2>&1 || { echo "cargo is missing or too old: install Rust 1.88 or newer with rustup and run make again."; exit 1; }
	@command -v cc >/dev/null || { echo "A C linker is missing: install one (Debian: apt-get install gcc libc6-dev) and run make again."; exit 1; }
	@echo "Setting up, for about ten minutes the first time: 1/3 a virtual environment in $(VENV)"
	@$(PYTHON) -m venv $(VENV)
	@touch $@

# One command brings the pinned packages and builds the core in release mode; again only when either changed.
#
# The core is built twice, since that makes it about a fifth faster: the first counts what it takes while bench/training.py
# has it work, and the second is compiled for that. Without rustc's tool for such counts it is built once, as it stands.
$(VENV)/.built: $(VENV)/.tools constraints.txt $(CORE) bench/training.py
	@echo "2/3 the build tool"
	@$(BIN)/pip install --quiet 'maturin>=1.16,<2'
	@echo "3/3 the pinned packages, and the Rust core, twice (follow it with: tail -f $(LOG))"
	@: >$(LOG)
	@if test -x "$(PROFDATA)" || { rustup component add llvm-tools >>$(LOG) 2>&1 && test -x "$(PROFDATA)"; }; then \
		$(MAKE) --no-print-directory profiled >>$(LOG) 2>&1 || { cat $(LOG); exit 1; }; \
	else \
		echo "    once: llvm-profdata is missing (rustup component add llvm-tools, then rm $(VENV)/.built), so it is about a fifth slower"; \
		$(BUILD) >>$(LOG) 2>&1 || { cat $(LOG); exit 1; }; \
	fi
	@touch $@

LOG := $(VENV)/set-up.log
PROFILE := $(CURDIR)/target/profile
PROFDATA = $(shell rustc --print target-libdir)/../bin/llvm-profdata
BUILD := VIRTUAL_ENV=$(CURDIR)/$(VENV) $(BIN)/maturin develop --release --quiet --extras dev,demo,bench

# What says where counts go, or which flags hold instead of these, would part the two builds.
unexport LLVM_PROFILE_FILE CARGO_ENCODED_RUSTFLAGS

.PHONY: profiled
profiled:
	RUSTFLAGS="$$RUSTFLAGS -Cprofile-generate=$(PROFILE)" $(BUILD)
	rm -f $(PROFILE)/*.profraw  # of the build's own programs
	$(BIN)/python -m bench.training
	"$(PROFDATA)" merge --output=$(PROFILE)/core.profdata $(PROFILE)/*.profraw
	RUSTFLAGS="$$RUSTFLAGS -Cprofile-use=$(PROFILE)/core.profdata --cfg=profile_guided" $(BUILD) --skip-install
