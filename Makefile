# Everything a person types. Each target sets up what it needs, in .venv.
PYTHON ?= python3
BIN := .venv/bin
EXTRA ?= dev
INSTALLED := .venv/.installed$(EXTRA:dev=)
EXPECTED := interop/expected_verdicts.csv
OUT ?= compat
BASE ?= python:3.11-slim-bookworm
IMAGE ?= mqtt-interop

# Every target starts dozens of Python processes: what one has compiled, the next need not compile again.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help setup interop adapters brokers published corpus coverage fairness mutants simulate soak attack survive fuzz test thorough check expected compare bench bench-growth bench-durable bench-crowds bench-smoke docs schema wheel image clean

help:            ## this list
	@grep -hE '^[a-z-]+: .*##|^[a-z-]+:  *##' $(MAKEFILE_LIST) | sed -E 's/:.*##/:/' | column -t -s ':'

$(INSTALLED): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "mqtt-interop needs Python 3.11 or newer; $(PYTHON) is older. Try: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 2; }
	@$(PYTHON) -m venv .venv || { echo "Python's venv module is missing (Debian: apt install python3-venv)"; exit 2; }
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[$(EXTRA)]'
	@touch $@

setup: $(INSTALLED)      ## the environment, in .venv; with EXTRA=harness only what running and certifying take

interop: $(INSTALLED)    ## the compatibility matrix; options of pytest in ARGS
	$(BIN)/pytest interop/ -p no:hypothesispytest --out $(OUT) $(ARGS)

adapters: $(INSTALLED)   ## the clients of the folder adapters, built as far as the toolchains here allow
	$(BIN)/mqtt-interop adapter build $(ARGS)

brokers: $(INSTALLED)    ## the brokers of the folder brokers, built as far as the toolchains here allow
	$(BIN)/mqtt-interop adapter build --brokers $(ARGS)

published: $(INSTALLED)  ## what reports/published/plan.toml names is played, where it is not yet, kept small, and made a site
	$(BIN)/mqtt-interop published $(ARGS); code=$$?; \
	$(BIN)/mqtt-interop site reports/published/runs/*.jsonl.xz --out $(OUT)/site && exit $$code

corpus: $(INSTALLED)     ## malformed packets to broker and client (the reference pair); options in ARGS
	$(BIN)/mqtt-interop corpus --out $(OUT)/corpus $(ARGS)

fairness: $(INSTALLED)   ## do verdicts hold behind other networks and on a busy machine? options in ARGS
	$(BIN)/mqtt-interop fairness --out $(OUT)/fairness $(ARGS)

mutants: $(INSTALLED)    ## brokers and clients wrong on purpose, and whether each is caught; options in ARGS
	$(BIN)/mqtt-interop mutants --missing --out $(OUT)/mutants $(ARGS)

simulate: $(INSTALLED)   ## a minute of random worlds in virtual time: does every invariant hold? options in ARGS
	$(BIN)/mqtt-interop simulate --seconds 30 $(ARGS)
	$(BIN)/mqtt-interop simulate --crashes --seconds 30 $(ARGS)

survive: $(INSTALLED)    ## the broker is killed 1,000 times under traffic; is all it acknowledged still true?
	$(BIN)/mqtt-interop survive --times 1000 --out $(OUT)/survive $(ARGS)

soak: $(INSTALLED)       ## 5,000 clients for ten minutes, both loops, without store and with it; into benchmarks/soak.md
	$(BIN)/mqtt-interop soak --out benchmarks/soak.md $(ARGS)

attack: $(INSTALLED)     ## every bound of the broker attacked while a bystander is served; into benchmarks/attacks.md
	$(BIN)/mqtt-interop attack --out benchmarks/attacks.md $(ARGS)

fuzz: $(INSTALLED)       ## five minutes of inputs made up by atheris; options in ARGS, findings in compat/fuzz
	$(BIN)/python tests/fuzz/run.py $(ARGS)

coverage: $(INSTALLED)   ## statements without evidence in the last matrix and corpus; fails when there are any
	$(BIN)/mqtt-interop coverage --missing $(OUT)/results.jsonl $(OUT)/corpus/results.jsonl

test: $(INSTALLED)       ## the product's own tests, but for those that take long
	$(BIN)/pytest tests -m "not thorough" -n auto --dist worksteal -q $(ARGS)

thorough: $(INSTALLED)   ## the tests that take long: browsers, installations, whole runs, floods
	$(BIN)/pytest tests -m thorough -n auto --dist worksteal -q $(ARGS)

check: $(INSTALLED)      ## style, types, import layers, scenario files
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/mqtt-interop lint

compare: $(INSTALLED)    ## verdicts of the last matrix against the committed expectation
	$(BIN)/mqtt-interop diff $(EXPECTED) $(OUT)/results.jsonl $(ARGS)

docs: $(INSTALLED)       ## the pages of docs/ that follow from code
	$(BIN)/python -m interop.docs

schema: $(INSTALLED)     ## the JSON Schemas of scenarios, the contract of clients, and results
	$(BIN)/python -m interop.scenario.schema
	$(BIN)/python -m interop.drivers.schema
	$(BIN)/python -m reports.schema

expected: $(INSTALLED)   ## make the last matrix the expectation
	$(BIN)/mqtt-interop diff --write $(EXPECTED) $(OUT)/results.jsonl

bench: $(INSTALLED)      ## throughput beside mosquitto, into benchmarks/; takes minutes, wants a quiet machine
	$(BIN)/mqtt-interop bench --suite targets --against mosquitto --out benchmarks $(ARGS)

bench-one-by-one: $(INSTALLED) ## one PUBLISH per send and latency over load, into benchmarks/; more peers by ARGS='--against mochi'
	$(BIN)/mqtt-interop bench --suite one-by-one --against mosquitto --seconds 2 --out benchmarks $(ARGS)

bench-growth: $(INSTALLED)  ## what a million subscriptions and the like cost, into benchmarks/growth.md
	$(BIN)/mqtt-interop bench --suite growth --seconds 1 --out benchmarks $(ARGS)

bench-durable: $(INSTALLED) ## what it costs that nothing is answered before it is kept, into benchmarks/durable.md
	$(BIN)/mqtt-interop bench --suite durable --seconds 3 --out benchmarks $(ARGS)

bench-crowds: $(INSTALLED)  ## what one of more and more connections costs, into benchmarks/crowds.md
	$(BIN)/mqtt-interop bench --suite crowds --out benchmarks $(ARGS)

bench-smoke: $(INSTALLED)  ## whether the benchmark runs; its figures mean nothing
	$(BIN)/mqtt-interop bench --suite targets --against mosquitto --quick $(ARGS)
	$(BIN)/mqtt-interop bench --suite growth --quick
	$(BIN)/mqtt-interop bench --suite durable --quick
	$(BIN)/mqtt-interop bench --suite crowds --quick

wheel: $(INSTALLED)      ## a wheel in dist/, tried in clean environments, without its extra and with it
	rm -rf dist
	$(BIN)/python -m build --wheel --outdir dist .
	PYTHON=$(PYTHON) .ci/wheel

image: $(INSTALLED)      ## a container image; BASE names its base image
	docker build --build-arg BASE=$(BASE) --tag $(IMAGE) $(BUILD_ARGS) .

clean:           ## remove what was made
	rm -rf .venv build dist compat .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
