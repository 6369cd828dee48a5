# Everything a clone can do. Needs make, Python 3.11+ and the package registries; set-up installs the rest into the clone.

PYTHON ?= python3
RUN := .venv/bin/python
TEST_WORKERS ?= 2

.DEFAULT_GOAL := help
.PHONY: help setup setup-worker check lint types imports bicep test demo bench clean

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 22

setup: ## install into .venv and .tools what the rest needs; a second run skips what stands
	@$(PYTHON) -m local.setup

setup-worker: ## as setup, and Python 3.13's Functions worker where a Python 3.13 is found
	@$(PYTHON) -m local.setup --worker

check: lint types imports bicep ## all that can be checked without running it

lint: setup ## ruff: rules and format
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .

types: setup ## mypy, strict, tests included
	$(RUN) -m mypy

imports: setup ## import-linter: arrows point inward
	.venv/bin/lint-imports --no-logo

bicep: setup ## build, lint rules and format of every Bicep file, where a compiler is installed
	@$(RUN) -m local.bicep_check

test: setup-worker ## all tests, the quick ones first
	$(RUN) -m pytest -n $(TEST_WORKERS)

demo: setup ## forty reports from the mailbox to their verdicts, on this machine
	$(RUN) -m local.demo

bench: setup ## speed, memory and quota figures against a baseline of the same run
	$(RUN) -m local.bench

clean: ## remove what set-up and the tools made
	rm -rf .venv .tools .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
