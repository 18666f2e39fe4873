# Everything starts here: `make` lists what there is.
.DEFAULT_GOAL := help
.PHONY: help demo up down status logs test lint check bench fault soak fuzz proof sbom advisories pictures clean bootstrap

PYTHON ?= python3
BIN := .venv/bin
# Where the tests find their broker and database: local (no Docker) or containers.
STACK ?= local
# How many tests run at once, at most four: one more than there are processors, because tests wait, too. Each has a broker
# and a database of its own, and takes 1.5 GB of memory. 0: one after the other. In the order of the folders: files that
# take long come first, and the many short ones fill up the end.
JOBS ?= $(shell expr $$(getconf _NPROCESSORS_ONLN) + 1)

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: bootstrap ## One application becomes a certificate, before your eyes (ONCE=1 ends afterwards)
	@$(BIN)/akashi demo $(if $(ONCE),--once) $(addprefix --without ,$(WITHOUT))

up: bootstrap ## Start everything on this machine, without Docker (AKASHI_TLS=1: all parts speak TLS)
	@$(BIN)/akashi up

down: bootstrap ## Stop everything; what was stored stays
	@$(BIN)/akashi down

status: bootstrap ## Show how every part is
	@$(BIN)/akashi status

logs: bootstrap ## Show the end of a part's log (PART=intake)
	@$(BIN)/akashi logs $(PART)

test: bootstrap ## Run the tests, faults aside (STACK=containers uses Docker, JOBS= at once, ARGS= goes to pytest)
	AKASHI_TEST_STACK=$(STACK) $(BIN)/pytest -n $(JOBS) --maxprocesses 4 --dist loadfile --no-loadscope-reorder $(ARGS)

lint: bootstrap ## Lint, types, rules between rooms, generated files
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy .
	$(BIN)/lint-imports
	$(BIN)/python -m schemas check
	$(BIN)/akashi openapi check

check: lint test ## Lint, then test: what a change is pushed with (CI adds the faults)

fault: bootstrap ## Kill everything, again and again (KILLS=200), and print what it came to (QUICK=1: a few times)
ifdef QUICK
	$(BIN)/pytest -n auto --maxprocesses 4 --dist loadfile $(or $(ARGS),tests/fault)
else
	AKASHI_FAULT_KILLS=$(or $(KILLS),200) AKASHI_FAULT_APPLICATIONS=$(or $(APPLICATIONS),2000) AKASHI_FAULT_EACH_STEP=1 \
	AKASHI_FAULT_SWALLOWED_SECONDS=70 $(BIN)/pytest $(or $(ARGS),tests/fault)
endif

soak: bootstrap ## Do everything at once that can go wrong (MINUTES=30, SEED=1 chooses what)
	AKASHI_SOAK_MINUTES=$(or $(MINUTES),30) AKASHI_FAULT_SEED=$(or $(SEED),1) $(BIN)/pytest tests/fault/test_soak.py

bench: bootstrap ## Measure how much goes through
	$(BIN)/python -m tests.bench $(ARGS)

proof: bootstrap ## Export 100,000 certificates, destroy everything, and make an equal registry of the export
	AKASHI_PROOF_CERTIFICATES=$(or $(CERTIFICATES),100000) $(BIN)/pytest -s tests/integration/console/test_on_an_empty_machine.py

fuzz: bootstrap ## Look for inputs that break a promise, led by coverage (SECONDS=60 for each TARGET, or one)
	$(BIN)/python -m tests.fuzz --seconds $(or $(SECONDS),60) $(if $(TARGET),--target $(TARGET))

sbom: bootstrap ## List everything that others wrote, with hashes, as CycloneDX (sbom.cdx.json)
	$(BIN)/python -m deploy.sbom > sbom.cdx.json

advisories: bootstrap ## Ask OSV what is known against what others wrote (exit code 3: it could not be asked)
	$(BIN)/python -m deploy.advisories

pictures: bootstrap ## Make the pictures of the README again (needs Chromium)
	$(BIN)/python -m tests.browser.pictures docs/pictures

clean: ## Stop everything, forget what was stored, remove .venv
	@if [ -x $(BIN)/akashi ]; then $(BIN)/akashi clean; fi
	@rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

bootstrap:
	@$(PYTHON) -m deploy.local.bootstrap
