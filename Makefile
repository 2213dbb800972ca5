# Two commands do everything: `make demo` and `make test`. `make check` is what CI runs.

VENV   := .venv
PYTHON ?= python3
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
PYTEST := $(BIN)/pytest -n 2 --dist worksteal

.PHONY: demo setup test lint types layers check runs soak bench clean

demo: $(STAMP)
	@$(BIN)/python examples/demo.py

setup: $(STAMP)
	@sh tests/setup/system.sh

test: setup
	$(PYTEST)

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(STAMP)
	$(BIN)/mypy

layers: $(STAMP)
	$(BIN)/lint-imports

check: setup lint types layers
	$(PYTEST)

runs: setup
	IPSECFLEET_RUNS=10000 $(PYTEST) tests/run/test_random_runs.py

soak: setup
	IPSECFLEET_SOAK=1 IPSECFLEET_RUNS=10000 $(PYTEST) tests/cli/test_interrupted.py \
	    tests/run/test_interleavings.py tests/run/test_random_runs.py tests/run/test_hostile.py tests/run/test_faults.py
	IPSECFLEET_SOAK=1 $(BIN)/pytest -n 4 --dist worksteal tests/cli/test_rollout_faults.py tests/isakmpd/test_file_changes.py

bench: $(STAMP)
	@for file in benchmarks/*.py; do echo "== $$file"; $(BIN)/python $$file || exit 1; done

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis

$(STAMP): pyproject.toml
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || sh tests/setup/system.sh venv
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@
