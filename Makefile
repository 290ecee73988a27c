# One target per thing that a person does here; `make` alone lists them.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

VENV := .venv
BIN := $(VENV)/bin
PY := $(BIN)/python
PYTEST := $(PY) -m pytest
STAMP := $(VENV)/.installed

# Passed on to `make demo` and `make pipeline`: KEEP=1 leaves everything running, CLUSTER=kind uses Docker and kind where
# they exist, BROKERS=host:port a Kafka of one's own.
KEEP ?=
CLUSTER ?=
BROKERS ?=
# Extra words for pytest, for instance: make test-unit ARGS="-k ramp -x"
ARGS ?=

# CI draws the same examples every time and more of them; HYPOTHESIS_PROFILE=soak draws very many.
export HYPOTHESIS_PROFILE ?= $(if $(CI),ci,default)
export PYTHONUNBUFFERED := 1
# What pip would take from a machine's environment must not decide what is installed or locked.
unexport PIP_FIND_LINKS PIP_REQUIRE_VIRTUALENV PIP_USER

.PHONY: help
help: ## Show this list
	@echo "Veriramp. Two commands show everything: make demo, make test."
	@echo
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-15s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

## Environment

.PHONY: install
install: $(STAMP) ## Make .venv from the hash-locked requirements (instant the second time)
	@:

$(STAMP): requirements/dev.txt pyproject.toml tools/install.sh
	@tools/install.sh $(VENV) $(STAMP)

.PHONY: tools
tools: install ## Build the real parts that the tests need (etcd, API server, Prometheus, helm, ...)
	@$(PY) tools/toolchain.py build --for test

.PHONY: lock
lock: install ## Renew requirements/*.txt from pyproject.toml
	@tools/lock.sh $(BIN)/uv

## Everything that a machine can judge

.PHONY: generate
generate: install ## Write the generated files (CRD, reference, requirements page)
	@$(PY) -m tools.generate
	@$(PY) -m tools.requirements_page

.PHONY: verify
verify: install ## Fail when a generated file is not current
	@$(PY) -m tools.generate --check
	@$(PY) -m tools.requirements_page --check

.PHONY: lint lint-ruff lint-format lint-types lint-imports
lint: lint-ruff lint-format lint-types lint-imports ## ruff, format, types, and which way imports point (make -k lint: all findings)
lint-ruff: install
	@echo "lint 1/4: ruff check"; $(BIN)/ruff check .
lint-format: install
	@echo "lint 2/4: ruff format"; $(BIN)/ruff format --check .
lint-types: install
	@echo "lint 3/4: mypy"; $(BIN)/mypy
lint-imports: install
	@echo "lint 4/4: import-linter"; $(BIN)/lint-imports --no-logo

.PHONY: test
test: tools ## Every test but bench and soak, in one run with one summary
	@$(PYTEST) $(ARGS)

.PHONY: test-unit
test-unit: install ## Pure parts, property tests, golden files (no cluster, under a minute)
	@$(PYTEST) tests/unit $(ARGS)

.PHONY: test-component
test-component: tools ## One part with its real peer
	@$(PYTEST) tests/component $(ARGS)

.PHONY: test-chart
test-chart: tools ## The Helm chart: lint, template matrix, schema
	@$(PYTEST) tests/chart $(ARGS)

.PHONY: test-cluster
test-cluster: tools ## The whole product on the dev cluster, with faults
	@$(PYTEST) tests/cluster $(ARGS)

.PHONY: bench
bench: tools ## Figures for docs/benchmarks.md (one of them: make bench ARGS=time_to_safe)
	@$(PY) -m tests.bench $(or $(ARGS),all)
	@$(PY) -m tools.benchmarks_page

.PHONY: soak
soak: install ## The property tests with very many examples
	@HYPOTHESIS_PROFILE=soak $(PYTEST) tests/unit --timeout=7200 $(ARGS)

.PHONY: planted
planted: install ## Plant faults in the engine and count the walks until an invariant notices
	@$(PY) -m tests.support.walk.strength $(ARGS)

.PHONY: mutation
mutation: install ## Which small faults in engine and evidence would no test notice? (ARGS="engine/ramp --minutes 10")
	@$(PY) -m tools.mutate $(ARGS)

## See it work

.PHONY: demo
demo: install ## The whole road on this machine: plan, simulate, run, regress, roll back, report
	@KEEP="$(KEEP)" CLUSTER="$(CLUSTER)" $(PY) -m tools.demo

.PHONY: pipeline
pipeline: install ## Broker, worker, search and flags from a file on this machine: verdicts, and an order that they change
	@KEEP="$(KEEP)" BROKERS="$(BROKERS)" $(PY) -m tools.pipeline

.PHONY: clean
clean: ## Remove caches and build output (.venv and the tool cache stay)
	@rm -rf build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .coverage coverage.xml
	@find operator workers tools tests -name __pycache__ -type d -prune -exec rm -rf {} +
