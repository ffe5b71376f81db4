# make run    install, then materialize everything up to the assistant   (SCALE=ci: the smallest form)
# make test   install what the tests need, then run them   (TESTS=tests/store: some of them; JOBS=4: more at a time)
# make ui     the Dagster UI with everything that the runs recorded
# make lint   ruff, mypy, import-linter
# make bench  measurements beside public peers; see benchmarks/README.md

SCALE ?= laptop
OVERRIDES ?=
PORT ?= 3000
TESTS ?=
JOBS ?= 2
VENV ?= .venv
PYTHON ?= $(shell for p in python3.11 python3.12 python3.13 python3; do command -v $$p && break; done)
BIN := $(VENV)/bin

.PHONY: run test ui lint bench clean

run: $(VENV)/.installed .env
	$(BIN)/llm-dag run scale=$(SCALE) $(OVERRIDES)

test: $(VENV)/.tested .env
	$(BIN)/python -m pytest -n $(JOBS) --dist worksteal $(TESTS)

ui: $(VENV)/.installed .env
	$(BIN)/dagster dev --workspace workspace.yaml --host 127.0.0.1 --port $(PORT)

lint: $(VENV)/.tested
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy llm_dag
	$(BIN)/lint-imports

bench: $(VENV)/.tested
	$(BIN)/python -m benchmarks

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; assert sys.version_info >= (3, 11), f"Python 3.11 or newer is needed, found {sys.version.split()[0]}; set PYTHON=…"'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: $(VENV)/bin/python pyproject.toml constraints.txt
	$(BIN)/python -m pip install --disable-pip-version-check -q -c constraints.txt -e .
	@touch $@

$(VENV)/.tested: $(VENV)/.installed
	$(BIN)/python -m pip install --disable-pip-version-check -q -c constraints.txt -e '.[test]'
	@touch $@

# Every dagster command reads .env in its working folder; a DAGSTER_HOME that is set wins.
.env: $(VENV)/.installed
	@printf 'DAGSTER_HOME=$${DAGSTER_HOME:-%s/.llm_dag/dagster}\n' '$(CURDIR)' > .env
	@$(BIN)/python -c 'from llm_dag.cli import home; home.ensure()'

clean:
	rm -rf $(VENV) .env .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
