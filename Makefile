PYTHON ?= python3.11
BIN := .venv/bin
STAMP := .venv/.ready

.PHONY: setup run proxy calls test format bench fuzz docs clean

setup: $(STAMP)

$(STAMP): pyproject.toml
	@echo "setting up .venv, which takes a minute or two"
	test -x $(BIN)/python || $$(command -v $(PYTHON) || command -v python3) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	$(BIN)/python -m compileall -q src
	touch $@

run: setup
	@$(BIN)/miscript run examples/quickstart/opensips.cfg --once

proxy: setup
	@echo "the proxy is at 127.0.0.1:5060; 'make calls' in another terminal makes calls, Ctrl-C ends this"
	@$(BIN)/miscript run examples/quickstart/proxy.cfg

calls:
	@command -v sipp >/dev/null || { echo "'make calls' needs sipp: apt install sip-tester"; exit 1; }
	@echo "three calls of 40 seconds; the proxy ends them after 15, which sipp counts as failed"
	@timeout 30 sipp -sn uas -i 127.0.0.1 -p 5080 -nostdin >/dev/null 2>&1 & \
	timeout 25 sipp -sn uac -s bob -i 127.0.0.1 -p 5090 -m 3 -r 1 -d 40000 -nostdin 127.0.0.1:5060 >/dev/null 2>&1; wait

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
