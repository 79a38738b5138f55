# Everything a user types stands here; `.ci/run` calls the same targets.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
EMULATORS := .venv-emulators
WORKERS := .venv-workers
FLINK := build/flink
WORLD ?= ./world
LISTENERS ?= 2000
TRACKS ?= 20000
DAYS ?= 60
SEED ?= 1

.PHONY: install emulators nightly test lint types docs bench flink clean

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

# BigQuery and storage for the tests: an environment of its own, since the emulator wants other versions than the program.
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
	$(BIN)/python -m pytest tests -n 2 --dist loadfile

# The whole night on a Flink cluster on this machine (Java 17 and Maven), equal to the local runner's. Logs are in $(FLINK)/night.
# The workers' environment holds the installed package and nothing of this folder.
flink: install $(FLINK)/jars/.checked
	rm -rf build/lib $(FLINK)/wheel
	$(BIN)/pip wheel -q --no-deps --no-build-isolation -w $(FLINK)/wheel .
	[ -x $(WORKERS)/bin/python ] || $(PYTHON) -m venv $(WORKERS)
	if [ -x $(BIN)/uv ]; then \
	  $(BIN)/uv pip install -q --python $(WORKERS)/bin/python -c constraints.txt --reinstall-package nightshelf $(FLINK)/wheel/*.whl; \
	else \
	  $(WORKERS)/bin/pip install -q -c constraints.txt $(FLINK)/wheel/*.whl && \
	  $(WORKERS)/bin/pip install -q --no-deps --force-reinstall $(FLINK)/wheel/*.whl; \
	fi
	$(BIN)/python -m tests.flink.night --jars $(FLINK)/jars --environment $(WORKERS) --out $(FLINK)/night

# Every jar is the one that is pinned, and none is there that is not.
$(FLINK)/jars/.checked: tests/flink/pom.xml tests/flink/jars.sha256
	rm -rf $(FLINK)/jars
	mvn -B -q -ntp -f tests/flink/pom.xml org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy-dependencies \
	  -DincludeScope=runtime -DoutputDirectory=$(abspath $(FLINK)/jars)
	cd $(FLINK)/jars && LC_ALL=C sha256sum *.jar | diff $(abspath tests/flink/jars.sha256) -
	touch $@

lint: install
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: install
	$(BIN)/mypy

docs: install
	$(BIN)/python -m transforms.tables.docs > docs/tables.md
	$(BIN)/python -m dataflow_templates.metadata

bench: install
	$(BIN)/python -m tests.benchmarks.all

clean:
	rm -rf $(WORLD) warehouse build
