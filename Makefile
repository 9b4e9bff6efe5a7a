# `make benchmark` and `make test` are all that a fresh machine needs; both set up .venv first.
PYTHON ?= python3
CONFIG ?= configs/benchmark.yaml
TEST_JOBS ?= 2
TESTS ?= tests
SHOWS := This shows what differs on tiny images after short training, and what it costs.\nIt does not show what \
	holds for photographs, deeper networks, longer training.\n
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.set-up

.PHONY: help setup benchmark test test-cluster check torture mutants clean
.DELETE_ON_ERROR:

help: ## what can be made
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 14

setup: $(STAMP) ## .venv with the package and the test tools, pinned by constraints.txt

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "error: Python %d.%d: make: set PYTHON to 3.11 or newer" % sys.version_info[:2])'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

benchmark: setup ## train every strategy of CONFIG over its seeds, then tables and a figure
	@$(BIN)/rsc train --config $(CONFIG)
	@if [ '$(CONFIG)' = configs/benchmark.yaml ]; then printf '$(SHOWS)' >&2; fi
	@echo 'Next: . $(BIN)/activate    then: rsc compare, rsc --help' >&2

test: setup ## all tests, but those of clusters
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n $(TEST_JOBS) --dist worksteal --ignore tests/cluster $(TESTS)

test-cluster: setup ## sweeps on a real Ray and a real SLURM, where they are installed
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q tests/cluster

check: setup ## style, types, directions of imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	@$(BIN)/python -m tools.reliability_age

torture: setup ## the reliability tests at ten times the numbers; writes docs/reliability.md
	$(BIN)/python -m tests.torture 10

mutants: setup ## plant defects one at a time; the tests must catch each
	$(BIN)/python -m tests.mutants

clean: ## remove what tools wrote, not results
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
