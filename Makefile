# `make demo` bills a real book of business; `make test` checks everything. Both set themselves up:
# a virtual environment in .venv, filled by pip (with the machine's own pip configuration) with the
# exact versions of constraints.txt. PYTHON=/path/to/python3.12 chooses the interpreter.

VENV := .venv
BIN := $(VENV)/bin
PY := $(BIN)/python
PIP := $(PY) -m pip --disable-pip-version-check
# Three keep two processors busy: some tests wait, for a timeout or a lease, and leave the others time.
JOBS ?= 3

# The demo needs the test gateway only; tests need every plugin of this repository.
DEMO_PLUGINS := $(wildcard plugins/gateways/test)
ALL_PLUGINS := $(patsubst %/pyproject.toml,%,$(wildcard plugins/*/*/pyproject.toml))
PROJECTS := pyproject.toml $(wildcard plugins/*/*/pyproject.toml)
SOURCES := src $(wildcard plugins/*/*/src)
BUILD_TOOLS := hatchling editables
# localstripe comes as source and wants a newer setuptools than a new environment brings.
TEST_BUILD_TOOLS := setuptools

# Compiled modules are kept: tests start hundreds of processes.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help demo test test-all lint types floors tests coverage soak format setup clean

help:
	@echo "make demo     bill a book of business for years and look at it"
	@echo "make test     lint, format, types, floors, tests"
	@echo "              parts: lint, types, floors, tests; JOBS=1 for one process;"
	@echo "              BILLCORE_TEST_POSTGRES=URL for a server of your own, BILLCORE_NO_POSTGRES=1 for none"
	@echo "make test-all the same with all cases of everything: before a release, and for what you touched"
	@echo "make coverage which branches the tests reach; fails below what pyproject.toml asks"
	@echo "make soak     kill workers on PostgreSQL for SECONDS (600), from seed SEED on"
	@echo "make format   put the source into its format"
	@echo "make setup    only make .venv, with the test tools"
	@echo "make clean    remove .venv and everything that commands left behind"

demo: $(VENV)/.demo-ready
	@$(BIN)/billcore demo

# Types and tests side by side: beside mypy, which is one process, a second processor would have nothing to do.
test: lint floors
	@$(MAKE) --no-print-directory -j2 types tests
	@echo "make test: all green"

test-all: export BILLCORE_TEST_ALL := 1
test-all: test

lint: $(VENV)/.test-ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.test-ready
	$(PY) -m mypy --strict $(SOURCES)

floors: $(VENV)/.test-ready
	$(BIN)/lint-imports --no-logo

tests: $(VENV)/.test-ready
	$(PY) -m pytest -n $(JOBS) --dist worksteal -q

# Apart from the tests: counting takes a third of their time.
coverage: $(VENV)/.test-ready
	@rm -f .coverage .coverage.*
	$(PY) -m coverage run -m pytest -n $(JOBS) --dist worksteal -q
	@$(PY) -m coverage combine --quiet
	$(PY) -m coverage report

SECONDS ?= 600
SEED ?= 1

soak: $(VENV)/.test-ready
	BILLCORE_SOAK_SECONDS=$(SECONDS) BILLCORE_SOAK_SEED=$(SEED) $(PY) -m pytest -q -s tests/engine/test_storm.py -k long

format: $(VENV)/.test-ready
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

setup: $(VENV)/.test-ready

# Installed without build isolation: the build tools are pinned packages too, so pip fetches nothing else.
$(VENV)/.demo-ready: constraints.txt tools/venv $(PROJECTS)
	@tools/venv $(VENV)
	@echo "installing billcore into $(VENV)"
	@$(PIP) install --quiet -c constraints.txt $(BUILD_TOOLS)
	@$(PIP) install --quiet -c constraints.txt --no-build-isolation -e . $(DEMO_PLUGINS:%=-e ./%)
	@touch $@

$(VENV)/.test-ready: $(VENV)/.demo-ready
	@echo "adding the test tools"
	@$(PIP) install --quiet -c constraints.txt $(TEST_BUILD_TOOLS)
	@$(PIP) install --quiet -c constraints.txt --no-build-isolation -e '.[dev]' $(ALL_PLUGINS:%=-e ./%)
	@touch $@

clean:
	rm -rf $(VENV) build dist .coverage .coverage.* .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
	find . -name '*.egg-info' -type d -prune -exec rm -rf {} +
