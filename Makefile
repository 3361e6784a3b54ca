# The commands of this repository; `make` alone lists them.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help demo up down status test test-fast lint bench soak models docs lock

PYTHON ?= $(shell for python in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$python; break; }; done)
VENV := .venv
RUN := $(VENV)/bin/python
INSTALLED := $(VENV)/.installed

help: ## List the commands
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 12

demo: $(INSTALLED) ## Start everything, play orders of every kind, check the result, stop everything
	@$(RUN) -m stack demo

up: $(INSTALLED) ## Start everything and stay in the foreground; Ctrl-C stops it
	@$(RUN) -m stack run

down: $(INSTALLED) ## Stop what `make up` or `make demo` started
	@$(RUN) -m stack down

status: $(INSTALLED) ## Show the processes of `make up`
	@$(RUN) -m stack status

test: $(INSTALLED) ## Run all tests, on a stack of their own (.stack/test)
	@STACK_DIR=.stack/test $(RUN) -m pytest

# The coupon service's domain tests share builders with tests on its tables, so they are not among these.
FAST := tests/contracts tests/money tests/saga tests/batchsql $(filter-out tests/coupon/%,$(wildcard tests/*/test_domain*.py))

test-fast: $(INSTALLED) ## Run the pure tests: contracts and domains, no server and no Django settings
	@$(RUN) -m pytest --noconftest -p no:django -q $(FAST)

lint: $(INSTALLED) ## Check format, style, types and the direction of imports
	@$(RUN) -m ruff format --check .
	@$(RUN) -m ruff check .
	@$(RUN) -m mypy
	@$(VENV)/bin/lint-imports

bench: $(INSTALLED) ## Measure sagas per second beside pgbench, over a long past beside an empty one, and beside a parked key
	@$(RUN) -m bench
	@$(RUN) -m bench.history
	@$(RUN) -m bench.parked

ORDERS ?= 10000
FAULTS ?= 500

soak: $(INSTALLED) ## Place orders while everything goes wrong, and check every promise: ORDERS=10000 FAULTS=500 SEED=n
	@$(RUN) -m tests.faults.soak --orders $(ORDERS) --faults $(FAULTS) $(if $(SEED),--seed $(SEED))

models: $(INSTALLED) ## Check the models of consumer, saga and relay by exhaustive search, within ten minutes
	@$(RUN) -m models

docs: $(INSTALLED) ## Generate the reference pages, and build the documentation site in site/
	@$(RUN) -m docs.generate
	@NO_MKDOCS_2_WARNING=1 $(RUN) -m mkdocs build --strict

lock: $(INSTALLED) ## Pin requirements.in and requirements-dev.in again
	@$(VENV)/bin/pip-compile --quiet --strip-extras --no-header --no-emit-index-url --no-emit-find-links --no-emit-trusted-host --output-file requirements.txt requirements.in
	@$(VENV)/bin/pip-compile --quiet --strip-extras --no-header --no-emit-index-url --no-emit-find-links --no-emit-trusted-host --allow-unsafe --output-file requirements-dev.txt requirements-dev.in

$(INSTALLED): requirements-dev.txt
	@test -n "$(PYTHON)" || { echo "error: Python 3.11 or newer is missing. Install it, on Debian or Ubuntu by: sudo apt-get install python3 python3-venv" >&2; exit 1; }
	@echo "Setting up $(VENV) from requirements-dev.txt (about a minute at the first time) …" >&2
	@test -x $(RUN) || $(PYTHON) -m venv $(VENV) || { echo "error: install Python's venv module, on Debian or Ubuntu by: sudo apt-get install python3-venv" >&2; exit 1; }
	@$(RUN) -m pip install --quiet --disable-pip-version-check --progress-bar off -r requirements-dev.txt
	@touch $@
	@echo "$(VENV) is ready." >&2
