# Everything a clone can do. Needs make, Python 3.11+ and the package registries; set-up installs the rest into the clone.

PYTHON ?= python3
RUN := .venv/bin/python
RUN_313 := .tools/py313/bin/python
TEST_WORKERS ?= 2
PACKAGE_PYTHON ?= 3.13

.DEFAULT_GOAL := help
.PHONY: help setup setup-worker check lint types imports bicep bicep-age snapshot
.PHONY: test test-313 test-main test-package fuzz histories demo bench wheels package clean

help: ## this list
	@sed -n 's/^\([a-z0-9-]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 22

setup: ## install into .venv and .tools what the rest needs; a second run skips what stands
	@$(PYTHON) -m local.setup

setup-worker: ## as setup, and the Functions worker and the unit tests' packages for Python 3.13, where one is found
	@$(PYTHON) -m local.setup --worker

check: lint types imports bicep ## all that can be checked without running it

lint: setup ## ruff: rules and format
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .

types: setup ## mypy, strict, tests included
	$(RUN) -m mypy

imports: setup ## import-linter: arrows point inward
	.venv/bin/lint-imports --no-logo

bicep: setup ## build, lint rules, format and snapshots of the Bicep files, where a compiler is installed
	@$(RUN) -m local.bicep_check

bicep-age: setup ## whether an API version of the templates has become too old, where a compiler is installed; for CI
	@$(RUN) -m local.bicep_check --age

snapshot: setup ## predict anew what the example deployments make: infra/*.snapshot.json
	@$(RUN) -m local.bicep_snapshot

test: test-313 test-main ## all tests, before them those of units and formats on Python 3.13

test-313: setup-worker ## the unit tests and the format readers' on Python 3.13, where one is found
	@if [ -x $(RUN_313) ]; then set -ex; for tests in tests/unit tests/formats; do \
	  $(RUN_313) -m pytest -n $(TEST_WORKERS) $$tests; done; \
	else echo "No Python 3.13 was found: the unit tests run on this clone's Python only."; fi

test-main: setup-worker wheels ## all tests on this clone's Python, the quick ones first
	$(RUN) -m pytest -n $(TEST_WORKERS)

test-package: setup-worker ## the deployment package in dist, for Python 3.13: it runs, and it is what was tested
	PUBLISHED_PACKAGE="$(firstword $(wildcard dist/*-py313.zip))" $(RUN) -m pytest -n0 tests/app/test_deployed_package.py

fuzz: setup ## 200,000 odd inputs (FUZZ_INPUTS) for everything that reads what strangers wrote
	$(RUN) -m tests.fuzz

histories: setup ## 200 random histories (N, FIRST), or one again (SEED): three workers, outages, lost answers, skewed clocks
	@N=$(N) FIRST=$(FIRST) SEED=$(SEED) $(RUN) -m tests.histories

demo: setup ## forty reports from the mailbox to their verdicts, on this machine; KEEP=1 leaves the stack and app running
	$(RUN) -m $(if $(KEEP),local up --with-app,local.demo)

bench: setup ## speed, memory and quota figures against a baseline of the same run; BASE=commit: against that commit
	$(RUN) -m local.bench $(if $(BASE),--base $(BASE))

wheels: setup ## download what the deployment package is made of; a second run skips what stands
	@$(RUN) -m local.package --python $(PACKAGE_PYTHON) --wheels-only

package: setup ## the deployment package, dist/*.zip, for PACKAGE_PYTHON (3.11, 3.12, 3.13)
	@$(RUN) -m local.package --python $(PACKAGE_PYTHON)

clean: ## remove what set-up and the tools made
	rm -rf .venv .tools build dist *.egg-info .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
