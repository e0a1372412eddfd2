# Hearth: `make demo` starts a living home, `make test` runs every test. Both do their own set-up.
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PARTS := core models agent hub firmware-sim
EDITABLE := $(foreach part,$(PARTS),-e ./$(part))
ARGS ?=
LOCK = $(BIN)/uv pip compile --quiet --universal --generate-hashes --python-version 3.11 --custom-compile-command "make lock" \
	--no-emit-package hearth-core --no-emit-package hearth-models --no-emit-package hearth-agent --no-emit-package hearth-hub --no-emit-package hearth-sim

.PHONY: help setup demo test check web lock schemas screenshot faults invariants mutants time-to-safe bench-ingest bench-agent bench-modbus bench-plan hub-away clean
help: ## say what can be made
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

setup: $(VENV)/.ready web ## make .venv with the commands hearth-agent, hearth-hub, hearth-models, hearth-sim

demo: setup ## start a living home; options in ARGS="--days 2 --headless --json out.json"
	@exec $(BIN)/hearth-sim demo $(ARGS)

test: setup ## run every check and test against real services
	@tests/run

check: setup ## lint, types and import rules only
	@tests/run check

web: hub/src/hearth_hub/static/index.html ## build the dashboard (needs Node.js >= 20)

hub/src/hearth_hub/static/index.html: $(shell find web -type f -not -path '*/node_modules/*' 2>/dev/null)
	@if command -v npm >/dev/null; then \
		echo "building the dashboard (web/)"; \
		cd web && npm ci --no-audit --no-fund --loglevel=error && npm run --silent build && touch ../$@; \
	else echo "Node.js is not here: the dashboard is not built (everything else runs; install Node.js >= 20, then: make web)"; fi

$(VENV)/.ready: requirements/bootstrap.txt requirements/dev.txt $(foreach part,$(PARTS),$(part)/pyproject.toml)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Hearth needs Python >= 3.11; this is $$($(PYTHON) --version). Try: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 2; }
	@echo "making $(VENV) and installing the locked packages (about a minute the first time)"
	@$(PYTHON) -m venv $(VENV) || { echo "Python cannot make a virtual environment: on Debian and Ubuntu, apt install python3-venv"; exit 2; }
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/bootstrap.txt
	@VIRTUAL_ENV=$(VENV) $(BIN)/uv pip install --require-hashes -r requirements/dev.txt
	@VIRTUAL_ENV=$(VENV) $(BIN)/uv pip install --quiet --no-deps --no-build-isolation $(EDITABLE)
	@touch $@

lock: $(VENV)/.ready ## resolve the requirements anew
	echo 'uv>=0.9,<1' | $(LOCK) -o requirements/bootstrap.txt -
	$(LOCK) --group pyproject.toml:dev $(foreach part,core models agent hub firmware-sim,$(part)/pyproject.toml) --all-extras -o requirements/dev.txt
	$(LOCK) core/pyproject.toml models/pyproject.toml agent/pyproject.toml --extra serve --extra plan -o requirements/agent.txt
	$(LOCK) core/pyproject.toml models/pyproject.toml hub/pyproject.toml --extra serve --extra plan --extra train -o requirements/hub.txt

schemas: $(VENV)/.ready ## write the JSON Schema of every message, of planning problems, tariffs and device profiles, and the table of these, to docs
	$(BIN)/python -m hearth_core docs/schemas
	$(BIN)/hearth-models schema > docs/planning.schema.json
	$(BIN)/hearth-models schema tariff > docs/tariff.schema.json
	$(BIN)/hearth-agent profile schema > docs/profile.schema.json
	$(BIN)/hearth-agent profile page > docs/device-profiles.md

faults: setup ## every fault at full length (39 minutes in two lanes: ARGS="--lanes 2"); writes the table in docs/reliability.md
	$(BIN)/python tests/faults/run.py --table docs/reliability.md $(ARGS)

time-to-safe: setup ## how long each class of device stays ordered after every kind of failure (9 minutes); writes docs/safety.md
	@$(BIN)/python tests/bench/time_to_safe.py --table docs/safety.md $(ARGS)

invariants: setup ## a million steps of the controller under faults and hostile plans (7 to 15 minutes); writes the table in docs/safety.md
	$(BIN)/python tests/invariants/run.py --table docs/safety.md $(ARGS)

mutants: setup ## break the guards in every small way and count what the tests find
	$(BIN)/python tests/invariants/mutants.py $(ARGS)

bench-ingest: setup ## what a hub takes in beside the machine's limits (about 35 minutes); one JSON line
	@$(BIN)/python tests/bench/bench_ingest.py $(ARGS)

bench-plan: setup ## how long a plan takes, battery only and whole home; one JSON line; beside EMHASS with ARGS="--emhass"
	@$(BIN)/python tests/bench/bench_plan.py $(ARGS)

hub-away: setup ## three simulated days without the hub beside the same days with it, both bills (about 20 minutes); one JSON line
	@$(BIN)/python tests/bench/bench_hub_away.py $(ARGS)

bench-agent: setup ## what spool and uplink cost a home, and what the whole agent takes of its machine; two JSON lines
	@$(BIN)/python tests/bench/bench_agent.py
	@$(BIN)/python tests/bench/bench_footprint.py $(ARGS)

bench-modbus: setup ## fifty devices of which five are dead, and requests a second beside pymodbus and a client in C (2 minutes); one JSON line
	@$(BIN)/python tests/bench/bench_modbus.py $(ARGS)

clean: ## remove what make has made, the demo's data included
	rm -rf $(VENV) .data web/node_modules hub/src/hearth_hub/static

screenshot: setup ## take the README's picture of a living home
	HEARTH_SCREENSHOT=1 $(BIN)/python -m pytest -q tests/e2e/test_living_home.py
