# One command each, with all set-up included: a fresh clone on a fresh machine is enough.
# System packages come from packaging/setup-system.sh (root installs them; others read what is missing);
# Python packages go into .venv at the exact versions of constraints.txt. A second run finds both done.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

# The first Python that is new enough; override with `make PYTHON=/path/to/python`.
PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	"$$p" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo "$$p"; break; }; done)
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
PYTEST_ARGS ?=
BENCH_ARGS ?=
LIVES ?= 20
MINUTES ?= 10
ROUNDS ?= 50
SECONDS ?= 60
SEED ?=
SIM_ARGS ?=
TORTURE_ARGS ?=

.PHONY: help run test bench bench-recovery torture role-torture torture-store sim sim-mutations lint types imports docs check clean system-run system-test system-bench

help:  ## this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):[^#]*## */\1\t/' | expand -t 10

run: system-run $(STAMP)  ## two engines on this machine, a pair that replicates, and the console on it
	@$(BIN)/volrep demo

test: system-test $(STAMP)  ## all tests (PYTEST_ARGS="tests/unit -k ..." for some)
	@PATH="$(PATH):/usr/sbin:/sbin" $(BIN)/pytest $(PYTEST_ARGS)

bench: system-bench $(STAMP)  ## measurements against peers, in one run on the same disk
	@PATH="$(PATH):/usr/sbin:/sbin" $(BIN)/python -m bench $(BENCH_ARGS)

bench-recovery: system-bench $(STAMP)  ## how long a start takes after a crash with a full log (root)
	@PATH="$(PATH):/usr/sbin:/sbin" $(BIN)/python -m bench.recovery $(BENCH_ARGS)

torture: system-test $(STAMP)  ## kills and failing disks on real parts, MINUTES=10, until a promise is broken (root)
	@PATH="$(PATH):/usr/sbin:/sbin" $(BIN)/python -m tests.torture --minutes $(MINUTES) $(TORTURE_ARGS)

role-torture: system-test $(STAMP)  ## the Primary role moves under PostgreSQL, ROUNDS=50 migrations and takeovers (root)
	@PATH="$(PATH):/usr/sbin:/sbin" $(BIN)/python -m tests.torture.role_rounds --rounds $(ROUNDS) $(TORTURE_ARGS)

torture-store: system-test $(STAMP)  ## SIGKILL in every changing verb, LIVES=20 at random, then before each durable call (root)
	@VOLREP_STORE_LIVES=$(LIVES) VOLREP_STORE_KILLED=1 PATH="$(PATH):/usr/sbin:/sbin" \
		$(BIN)/pytest -s tests/system/test_verbs_killed.py
	@PATH="$(PATH):/usr/sbin:/sbin" $(BIN)/python -m tests.torture.verb_walk --devices $(TORTURE_ARGS)

sim: $(STAMP)  ## simulated crashes from seeds (SECONDS=60 SEED=... SIM_ARGS="--scenario rot"); what fails goes to sim-failures
	@PYTHONPATH=. $(BIN)/python -m tests.sim --seconds $(SECONDS) $(if $(SEED),--seed $(SEED)) $(SIM_ARGS)

sim-mutations: $(STAMP)  ## bugs put in on purpose: which seed finds each
	@PYTHONPATH=. $(BIN)/python -m tests.sim.mutations $(SIM_ARGS)

lint: $(STAMP) imports  ## ruff and the import contracts
	@$(BIN)/ruff check .

imports: $(STAMP)  ## who may import whom
	@$(BIN)/lint-imports

types: $(STAMP)  ## mypy, strict
	@$(BIN)/mypy

docs: $(STAMP)  ## regenerate the documents that are made from the code
	@$(BIN)/python -m volrep.model.messages > docs/messages.md
	@$(BIN)/python -m volrep.model.states_doc > docs/states.md

check: lint types test  ## everything that CI looks at

clean:  ## remove what was built or measured here (not the sources)
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis bench/out build dist

system-run system-test system-bench: system-%:
	@PYTHON="$(PYTHON)" packaging/setup-system.sh $*

# pip's own settings (proxy, index) apply as on every machine; nothing about them stands here.
$(STAMP): pyproject.toml constraints.txt | system-run
	@test -x $(BIN)/python || "$(PYTHON)" -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[tui,dev]'
	@touch $@
