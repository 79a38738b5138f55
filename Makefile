# Everything a user types stands here; `.ci/run` calls the same targets.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
EMULATORS := .venv-emulators
WORLD ?= ./world
LISTENERS ?= 2000
TRACKS ?= 20000
DAYS ?= 60
SEED ?= 1

.PHONY: install emulators nightly test lint types docs bench clean

install: $(STAMP)

# One resolver run with every version pinned; pip is the fallback where the faster installer cannot be had.
$(STAMP): setup.py constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install -q -c constraints.txt uv || true
	if [ -x $(BIN)/uv ]; then \
	  $(BIN)/uv pip install -q --python $(BIN)/python -c constraints.txt -e '.[test,bench]'; \
	else \
	  $(BIN)/pip install -q -c constraints.txt -e '.[test,bench]'; \
	fi
	touch $(STAMP)

# BigQuery for the tests: an environment of its own, since the emulator wants other versions than the program.
emulators: install $(EMULATORS)/.installed

$(EMULATORS)/.installed: tests/emulators.txt
	$(PYTHON) -m venv $(EMULATORS)
	if [ -x $(BIN)/uv ]; then \
	  $(BIN)/uv pip install -q --python $(EMULATORS)/bin/python -r tests/emulators.txt; \
	else \
	  $(EMULATORS)/bin/pip install -q -r tests/emulators.txt; \
	fi
	touch $@

nightly: install
	$(BIN)/nightshelf demo --listeners $(LISTENERS) --tracks $(TRACKS) --days $(DAYS) --seed $(SEED) --out $(WORLD)

test: install emulators
	$(BIN)/python -m pytest tests --ignore=tests/benchmarks -n 2 --dist loadfile

lint: install
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: install
	$(BIN)/mypy

docs: install
	$(BIN)/python -m transforms.tables.docs > docs/tables.md

bench: install
	$(BIN)/python -m tests.benchmarks.all

clean:
	rm -rf $(WORLD) warehouse build
