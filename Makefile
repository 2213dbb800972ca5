# Two commands do everything: `make demo` and `make test`. `make check` is what CI runs.

VENV   := .venv
PYTHON ?= python3
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
PYTEST := $(BIN)/pytest -n 2 --dist worksteal

.PHONY: demo setup test lint types layers check runs soak strange bench picture clean

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

# The whole suite with a paramiko in which a private name is another: all by the general path, with one warning.
strange: setup
	$(BIN)/python tests/support/strange.py .strange
	PYTHONPATH=.strange IPSECFLEET_STRANGE=1 $(PYTEST) --ignore tests/transport/test_flights.py \
	    --ignore tests/transport/test_strange_paramiko.py

soak: setup
	IPSECFLEET_SOAK=1 $(PYTEST) tests/transport/test_broken_servers.py tests/run/test_misleading.py
	IPSECFLEET_SOAK=1 IPSECFLEET_RUNS=10000 $(PYTEST) tests/cli/test_interrupted.py \
	    tests/run/test_interleavings.py tests/run/test_random_runs.py tests/run/test_hostile.py tests/run/test_faults.py
	IPSECFLEET_SOAK=1 $(BIN)/pytest -n 4 --dist worksteal tests/cli/test_rollout_faults.py tests/isakmpd/test_file_changes.py
	$(MAKE) strange

bench: $(STAMP)
	@$(BIN)/python benchmarks/run.py

# The picture in the README, from a real run.
picture: $(STAMP)
	$(BIN)/python examples/picture.py docs/demo.svg

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis

$(STAMP): pyproject.toml
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || sh tests/setup/system.sh venv
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@
