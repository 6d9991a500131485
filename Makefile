# Lookalike. `make help` lists the targets; each sets up what it needs, once.
DATA      ?=
CORPUS    ?= corpus
SCHEDULER ?=
CLUSTER   ?=
CLUSTER_CONFIG ?=
TLS       ?=
WORKERS   ?=
ENCODER   ?=
PYTHON    ?= python3.11
DEMO      ?= demo

VENV := .venv
BIN  := $(VENV)/bin
RUN  := $(BIN)/lookalike

PLACE = $(if $(SCHEDULER),--scheduler $(SCHEDULER)) $(if $(CLUSTER),--cluster $(CLUSTER)) \
	$(if $(CLUSTER_CONFIG),--cluster-config "$(CLUSTER_CONFIG)") \
	$(if $(TLS),--tls-ca "$(TLS)/ca.pem" --tls-cert "$(TLS)/cert.pem" --tls-key "$(TLS)/key.pem")

.DEFAULT_GOAL := help
.PHONY: help setup demo needs-data ingest nightly index needs-args search embed evaluate train status test check test-slow soak test-cluster docs certs bench bench-large bench-gpu bench-setup clean

help:  ## Show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## *' '{printf "  make %-12s %s\n", $$1, $$2}'

setup: $(VENV)/.ready  ## Make .venv with everything in it (once; 3.8 GB)

$(VENV)/.ready: pyproject.toml
	@command -v $(PYTHON) >/dev/null || { echo "$(PYTHON) is not installed; name another one: make setup PYTHON=python3"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	$(RUN) warm-up
	@touch $@

demo: setup  ## Simulate a small archive in ./demo, ingest, index and search it
	$(RUN) demo "$(DEMO)"

needs-data:
	@$(if $(strip $(DATA)),true,echo "make $(firstword $(MAKECMDGOALS)): say where the files are, as in: make $(firstword $(MAKECMDGOALS)) DATA=/mnt/blpd7"; exit 2)

ingest: needs-data setup  ## Read DATA=… into CORPUS=corpus (WORKERS=n, ENCODER=name, SCHEDULER=… or CLUSTER=… CLUSTER_CONFIG=…, TLS=tls)
	$(RUN) ingest $(DATA) --corpus "$(CORPUS)" $(PLACE) $(if $(WORKERS),--workers $(WORKERS)) $(if $(ENCODER),--encoder $(ENCODER))

nightly: needs-data setup  ## Take in what is new in DATA=… and write a report beside CORPUS=corpus (ARGS="--retry …")
	$(RUN) nightly $(DATA) --corpus "$(CORPUS)" $(PLACE) $(if $(WORKERS),--workers $(WORKERS)) $(ARGS)

index: setup  ## Build the search graph of CORPUS=corpus
	$(RUN) index --corpus "$(CORPUS)" $(PLACE)

needs-args:
	@$(if $(strip $(ARGS)),true,echo 'make search: say what for, as in: make search ARGS="--window SOURCE/NUMBER"'; exit 2)

search: needs-args setup  ## Search CORPUS=corpus: ARGS="--window SOURCE/NUMBER" or ARGS="--file F --f-start MHZ --f-stop MHZ"
	$(RUN) search --corpus "$(CORPUS)" $(ARGS)

embed: setup  ## Make vectors of ENCODER=name of what CORPUS=corpus holds
	$(RUN) embed --corpus "$(CORPUS)" $(PLACE) $(if $(ENCODER),--encoder $(ENCODER))

evaluate: setup  ## Measure how well look-alikes are found (ARGS="--part retrieval --encoder spectral …")
	$(RUN) evaluate $(ARGS)

train: setup  ## Make the weights of ENCODER=spectral anew, into spectral.npz (an hour or two on two cores)
	$(RUN) train $(if $(ENCODER),$(ENCODER),spectral)

status: setup  ## Tell what CORPUS=corpus holds
	$(RUN) status --corpus "$(CORPUS)"

test: check  ## Check style, types and layers, then run the tests (8 to 14 minutes on two cores)
	$(BIN)/python -m pytest -q -m "not slow and not cluster"

check: setup  ## Style, types and import layers only
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test-slow: setup  ## The tests that take minutes each
	$(BIN)/python -m pytest -q -m slow

soak: setup  ## Kill every process fifty times and a run at every write; the result goes to soak.md (some hours)
	$(BIN)/python -m tests.cluster.soak

test-cluster: setup  ## The tests with real schedulers, ssh, SLURM and kills (what is missing is skipped, and said)
	$(BIN)/python -m pip install --quiet --editable '.[dev,test-cluster]'
	$(BIN)/python -m pytest -q -m "not slow" tests/cluster

docs: setup  ## Build the documents as a site: build/docs/index.html
	@$(BIN)/python -m pip install --quiet --editable '.[docs]'
	$(BIN)/python docs/make_commands.py
	$(BIN)/python -m sphinx -q -W --keep-going -b html docs build/docs
	@echo "build/docs/index.html"

certs:  ## Make an authority and a certificate for a cluster, in TLS=tls
	@cluster/make-certs $(if $(TLS),"$(TLS)",tls)

bench: bench-setup  ## Measure scan, gate, index, search and driver, put the tables into benchmarks/*.md, say what moved (about an hour, 13 GB of disk)
	$(BIN)/python -m benchmarks.record scan gate index cells search "driver --sources 10000"

bench-large: bench-setup  ## The same of a million vectors, 100,000 sources and the largest product (some hours, 12 GB of memory, 22 GB of disk)
	$(BIN)/python -m benchmarks.record "index --sizes 1000000" "index --sizes 100000 --dimension 256" \
	  "search --sizes 10000 100000 1000000 --segments-of 1000000" "driver --sources 100000" memory

bench-gpu: setup  ## Measure encoders and an ingest on this machine's GPU, put the tables into benchmarks/encoders.md (KERAS_BACKEND=jax: by JAX)
	@$(BIN)/python -m pip install --quiet --editable '.[gpu]'
	$(BIN)/python -m benchmarks.record gpu

bench-setup: setup
	@$(BIN)/python -m pip install --quiet --editable '.[bench]' || echo "not all peers can be installed: those are left out"

clean:  ## Remove .venv, caches and the demo
	rm -rf $(VENV) $(DEMO) build *.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
