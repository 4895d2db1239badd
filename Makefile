# `make demo` and `make test` need Python 3.11 to 3.13 and nothing else; the rest is for those who change raylab.

PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/.installed

export RAY_USAGE_STATS_ENABLED ?= 0
export MLFLOW_DISABLE_TELEMETRY ?= true
export DO_NOT_TRACK ?= 1

.PHONY: demo test chaos check verify format clean

demo: $(INSTALLED)
	$(BIN)/python -m raylab.search masking --dataset triviaqa

test: $(INSTALLED)
	$(BIN)/python -m pytest -n 3 --dist loadfile

# One kill of every kind in a real search, and its figures beside those of the same search left alone.
chaos: $(INSTALLED)
	$(BIN)/python -m raylab.bench chaos --kills 8

check: $(INSTALLED)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

# The long checks: the demo's verdict at three study seeds, and every benchmark.
verify: $(INSTALLED)
	$(BIN)/python -m tests.verify

format: $(INSTALLED)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

.venv: $(INSTALLED)

$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[dev]"
	touch $@

clean:
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache build dist
