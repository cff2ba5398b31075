PYTHON ?= python3.11
BIN := .venv/bin
STAMP := .venv/.ready

.PHONY: setup run test format bench fuzz docs clean

setup: $(STAMP)

$(STAMP): pyproject.toml
	test -x $(BIN)/python || $$(command -v $(PYTHON) || command -v python3) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	$(BIN)/python -m compileall -q src
	touch $@

run: setup
	@$(BIN)/miscript run examples/quickstart/opensips.cfg --once

test: setup
	$(BIN)/ruff check --no-cache src tests benchmarks examples fuzz
	$(BIN)/ruff format --check src tests benchmarks examples fuzz
	$(BIN)/mypy
	$(BIN)/mkdocs build --quiet --strict
	$(BIN)/python -m pytest

format: setup
	$(BIN)/ruff format src tests benchmarks examples fuzz
	$(BIN)/ruff check --fix src tests benchmarks examples fuzz

bench: setup
	$(BIN)/python -m benchmarks

fuzz: setup
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[fuzz]'
	$(BIN)/python -m fuzz $(TARGETS)

docs: setup
	$(BIN)/mkdocs build --strict

clean:
	rm -rf .venv .fuzz site .mypy_cache .ruff_cache .pytest_cache .hypothesis
