# Each target makes the virtual environment it needs: `make test` is enough on a fresh clone.

PYTHON ?= python3
# Further arguments for pytest, e.g. make test ARGS="tests/test_vocabulary.py -x"; ARGS="-m slow" runs the slow tests.
ARGS ?=

BIN := .venv/bin
STAMP := .venv/.installed

.PHONY: help setup demo test lint format clean

help:
	@echo "make demo     set up .venv, and segment and track the packaged clip; offline"
	@echo "make setup    the virtual environment in .venv"
	@echo "make test     the tests (ARGS=... goes to pytest; slow tests: ARGS='-m slow')"
	@echo "make lint     ruff and mypy"
	@echo "make format   let ruff rewrite what it can"
	@echo "make clean    remove caches and build output (.venv stays)"

setup: $(STAMP)

# The stamp is written last, so an interrupted installation is taken up again.
$(STAMP): pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	@touch $@

demo: $(STAMP)
	$(BIN)/streamseg demo --output demo-out --overwrite

test: $(STAMP)
	$(BIN)/python -m pytest -m "not slow" $(ARGS)

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(STAMP)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf build dist .mypy_cache .ruff_cache .pytest_cache
