# Lookalike. `make help` lists the targets. Each target installs what it needs, once.
DATA      ?=
CORPUS    ?= corpus
SCHEDULER ?=
CLUSTER   ?=
CLUSTER_CONFIG ?=
TLS       ?=
WORKERS   ?=
ENCODER   ?=
DEMO      ?= demo
JOBS      ?= auto

# The first Python that fits. Each candidate is run, because a Python on the PATH may not work, or may lack venv.
FITS    = import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info < (3, 14))
PYTHON ?= $(shell for one in python3.11 python3.12 python3.13 python3 python; do \
	$$one -c "$(FITS)" >/dev/null 2>&1 && { echo $$one; break; }; done)

# An editable installation that only adds the folder of the checkout to the path. By default, a checkout that is called
# lookalike would hide the package from Python in the folder around it.
EDITABLE := --config-settings editable_mode=compat --editable
VENV := .venv
BIN  := $(VENV)/bin
RUN  := $(BIN)/lookalike

PLACE = $(if $(SCHEDULER),--scheduler $(SCHEDULER)) $(if $(CLUSTER),--cluster $(CLUSTER)) \
	$(if $(CLUSTER_CONFIG),--cluster-config "$(CLUSTER_CONFIG)") \
	$(if $(TLS),--tls-ca "$(TLS)/ca.pem" --tls-cert "$(TLS)/cert.pem" --tls-key "$(TLS)/key.pem")

# Limits OpenVINO and compiled loops to AVX2, which every supported processor has. These loops have a cache folder of
# their own.
AS_AVX2 = ONEDNN_MAX_CPU_ISA=AVX2 NUMBA_CPU_NAME=haswell NUMBA_CPU_FEATURES= NUMBA_CACHE_DIR=$(CURDIR)/$(VENV)/numba-avx2
OF_PROCESSOR = $(shell grep -rl --include='test_*.py' mark.processor tests)

# Tests run in parallel, in at most eight processes. All tests of a file run in one process and share their fixtures.
# tests/conftest.py says how many processes "auto" is, and which files start first.
# The compiled modules are written, also where the environment says no: tests start hundreds of processes that load them.
PYTEST = PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest -q -n $(JOBS) --maxprocesses 8 --dist loadfile --no-loadscope-reorder

.DEFAULT_GOAL := help
.PHONY: help setup demo needs-data ingest nightly index needs-args search embed evaluate train serve status test check test-slow soak test-cluster browser docs certs bench bench-large bench-gpu bench-web bench-setup clean

help:  ## Show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## *' '{printf "  make %-12s %s\n", $$1, $$2}'

setup: $(VENV)/.ready  ## Install everything into .venv (once; 4.1 GB)

$(VENV)/.ready: pyproject.toml
	@$(or $(PYTHON),false) -c "$(FITS)" 2>/dev/null || { \
	  echo "$(or $(PYTHON),no Python on the PATH) does not fit: Lookalike needs Python 3.11, 3.12 or 3.13 with venv; install one (Debian: apt install python3 python3-venv) or name it: make setup PYTHON=/path/to/python3.12"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet $(EDITABLE) '.[dev]'
	$(RUN) warm-up
	@touch $@

demo: setup  ## Simulate a small archive in ./demo, then ingest, index and search it
	$(RUN) demo "$(DEMO)"

needs-data:
	@$(if $(strip $(DATA)),true,echo "make $(firstword $(MAKECMDGOALS)): name the files or folders to read, as in: make $(firstword $(MAKECMDGOALS)) DATA=/mnt/blpd7"; exit 2)

ingest: needs-data setup  ## Ingest DATA=… into CORPUS=corpus (options: WORKERS=n, ENCODER=name, SCHEDULER=… or CLUSTER=… CLUSTER_CONFIG=…, TLS=tls)
	$(RUN) ingest $(DATA) --corpus "$(CORPUS)" $(PLACE) $(if $(WORKERS),--workers $(WORKERS)) $(if $(ENCODER),--encoder $(ENCODER))

nightly: needs-data setup  ## Ingest new files of DATA=…, index, verify, and write a report beside CORPUS=corpus (options: ARGS="--retry …")
	$(RUN) nightly $(DATA) --corpus "$(CORPUS)" $(PLACE) $(if $(WORKERS),--workers $(WORKERS)) $(ARGS)

index: setup  ## Build the search index of CORPUS=corpus
	$(RUN) index --corpus "$(CORPUS)" $(PLACE)

needs-args:
	@$(if $(strip $(ARGS)),true,echo 'make search: name a query, as in: make search ARGS="--window SOURCE/NUMBER"'; exit 2)

search: needs-args setup  ## Search CORPUS=corpus: ARGS="--window SOURCE/NUMBER" or ARGS="--file F --f-start MHZ --f-stop MHZ"
	$(RUN) search --corpus "$(CORPUS)" $(ARGS)

embed: setup  ## Compute the vectors of ENCODER=name for CORPUS=corpus
	$(RUN) embed --corpus "$(CORPUS)" $(PLACE) $(if $(ENCODER),--encoder $(ENCODER))

evaluate: setup  ## Measure how well each encoder finds similar signals (options: ARGS="--part retrieval --encoder spectral …")
	$(RUN) evaluate $(ARGS)

train: setup  ## Train ENCODER=spectral and write its weights to spectral.npz (one to two hours on two cores)
	$(RUN) train $(if $(ENCODER),$(ENCODER),spectral)

serve: setup  ## Serve a page to look at CORPUS=corpus and search it (options: ARGS="--data /mnt/blpd7 --port 8470 …")
	$(RUN) serve --corpus "$(CORPUS)" $(ARGS)

status: setup  ## Show what CORPUS=corpus contains
	$(RUN) status --corpus "$(CORPUS)"

test: check  ## Check style, types and layers, then run the tests (JOBS=n processes; ten to twenty minutes on two cores)
	$(PYTEST) -m "not slow and not cluster"
	@echo "the tests that depend on the processor, once more with AVX2 only: $(AS_AVX2)"
	$(AS_AVX2) $(PYTEST) -m processor -o timeout=600 $(OF_PROCESSOR)

check: setup  ## Check style, types and import layers only
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test-slow: setup  ## Run the tests that take minutes each, and the cases that make test leaves out
	$(BIN)/python -m pytest -q -m slow

browser:  ## Install the browser in which the page is tested: Debian's chromium, by apt as root or with sudo
	@for one in chromium chromium-browser google-chrome google-chrome-stable; do \
	  if command -v $$one >/dev/null; then echo "make browser: $$one is there"; exit 0; fi; done; \
	as=; [ "$$(id -u)" = 0 ] || as="sudo -n"; \
	if command -v apt-get >/dev/null && $$as true 2>/dev/null; then \
	  $$as apt-get update -q && $$as apt-get install -q -y --no-install-recommends chromium; \
	else echo "make browser: install Chromium or Chrome, so that one of chromium, chromium-browser and google-chrome is on the PATH (Debian, as root: apt install chromium)"; exit 1; fi

soak: setup  ## Kill each process fifty times, and a run at each of its writes; write the results to soak.md (some hours; goes on where it was)
	$(BIN)/python -m tests.cluster.soak

test-cluster: setup  ## Run the tests with real schedulers, ssh, SLURM and kills (skips tests whose tools are missing, and names them)
	$(BIN)/python -m pip install --quiet $(EDITABLE) '.[dev,test-cluster]'
	$(BIN)/python -m pytest -q -m "not slow" tests/cluster

docs: setup  ## Build the documents as a site: build/docs/index.html
	@$(BIN)/python -m pip install --quiet $(EDITABLE) '.[docs]'
	$(BIN)/python docs/make_commands.py
	$(BIN)/python -m sphinx -q -W --keep-going -b html docs build/docs
	@echo "build/docs/index.html"

certs:  ## Make the certificates of a cluster in the folder TLS=tls
	@cluster/make-certs $(if $(TLS),"$(TLS)",tls)

bench: bench-setup  ## Measure scan, small files, gate, index, search, hit tables and driver; update benchmarks/*.md and print what changed (about an hour, 13 GB of disk)
	$(BIN)/python -m benchmarks.record scan small gate index cells search hits "driver --sources 10000"

bench-large: bench-setup  ## Measure a million vectors, answers, families, 100,000 sources and the largest product (some hours, 12 GB of memory, 22 GB of disk)
	$(BIN)/python -m benchmarks.record "index --sizes 1000000" "index --sizes 100000 --dimension 256" \
	  "search --sizes 10000 100000 1000000 --segments-of 1000000" "driver --sources 100000" answers families memory

bench-gpu: setup  ## Measure encoders and an ingest on this machine's GPU; update benchmarks/encoders.md (KERAS_BACKEND=jax uses JAX)
	@$(BIN)/python -m pip install --quiet $(EDITABLE) '.[gpu]'
	$(BIN)/python -m benchmarks.record gpu

bench-web: setup browser  ## Measure the page in a browser, while others search; update benchmarks/web.md (some minutes)
	$(BIN)/python -m benchmarks.record web

bench-setup: setup
	@$(BIN)/python -m pip install --quiet $(EDITABLE) '.[bench]' || echo "some other indexes cannot be installed; the comparison leaves them out"

clean:  ## Remove .venv, caches and the demo
	rm -rf $(VENV) $(DEMO) build *.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
