# Every target works on a machine with Python 3.11+, pip, git and make; `uv` is used where it is there, for speed.
# (No `export PYTHONDONTWRITEBYTECODE`: without cached bytecode Airflow starts twice as slowly.)
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
JOBS ?= 3
FORMER_NAME := airflow-vod# what the distribution was called: a checkout that has it installed would show Airflow two providers
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help install demo check test test-scale test-events test-mysql test-versions test-ui test-deployment docs screenshots bench flood chaos outages submissions simulate lint format lock dist clean

##@ First
help: ## List the targets.
	@awk -F ':.*## ' '/^##@/ { printf "\n%s\n", substr($$0, 5) } /^[a-z-]+:.*## / { gsub(/[$$]+/, "$$", $$2); printf "  %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

install: $(VENV)/.installed ## Create the virtual environment from the lock file.

$(VENV)/.installed: requirements.lock pyproject.toml
	@if command -v uv >/dev/null 2>&1; then \
		test -x $(BIN)/python || uv venv --quiet --python $(PYTHON) $(VENV); \
		uv pip install --quiet --python $(BIN)/python --require-hashes -r requirements.lock && \
		uv pip uninstall --quiet --python $(BIN)/python $(FORMER_NAME) && \
		uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .; \
	else \
		test -x $(BIN)/pip || $(PYTHON) -m venv $(VENV); \
		$(BIN)/pip install --quiet --require-hashes -r requirements.lock && \
		{ ! $(BIN)/pip show --quiet $(FORMER_NAME) 2>/dev/null || $(BIN)/pip uninstall --quiet --yes $(FORMER_NAME); } && \
		$(BIN)/pip install --quiet --no-deps --no-build-isolation --editable .; \
	fi
	@touch $@

demo: install ## Watch a DAG in real Airflow splice videos in a local VOD API, wait, and use the result.
	@$(BIN)/airflow-vod demo

check: lint ## Linters, types and the tests of one part: PART=tests/unit/relay.
	$(BIN)/pytest -q $(or $(PART),tests/unit/cli/test_output.py tests/unit/test_rooms.py)

test: lint ## Linters, types and every test; JOBS=1 for one after the other.
	$(BIN)/pytest -n $(JOBS) tests/simulation
	$(BIN)/pytest -n $(JOBS) --dist loadfile

##@ Larger tests and measurements
test-scale: install ## 300 sensors in two triggerers, one of which is killed; SENSORS=600 for as many.
	VOD_TEST_SENSORS=$(or $(SENSORS),300) $(BIN)/pytest -s tests/acceptance/test_scale.py

bench: install ## Measure speed and cost beside baselines; QUICK=1, ONLY="drain inbox", BEFORE=PATH (a checkout of an earlier version).
	@$(BIN)/python -m benchmarks $(if $(QUICK),--quick) $(addprefix --only ,$(ONLY)) $(if $(BEFORE),--before $(BEFORE))

flood: install ## Genuine callbacks while strangers flood the API server; SECONDS=60 for longer.
	@$(BIN)/python -m tests.acceptance.flood $(SECONDS)

simulate: install ## The product in virtual time with every kind of fault; SEEDS=100000 for as many, ONLY=… SEED=… for that one again.
	VOD_TEST_SEED=$(or $(SEED),0) VOD_TEST_SEEDS=$(or $(SEEDS),$(if $(SEED),1,10000)) VOD_TEST_ONLY=$(ONLY) $(BIN)/pytest tests/simulation -k invariant

submissions: install ## Kill processes at every step of starting VOD tasks: 520 cases; SOME=1 for the standard form.
	@$(BIN)/python -m tests.submissions $(if $(SOME),--some)

chaos: install ## 20,000 events while everything fails now and then; SEED=… and EVENTS=… repeat or shorten it, DATABASE=mariadb.
	@$(if $(DATABASE),VOD_TEST_DATABASES=$(DATABASE)) $(BIN)/python -m tests.chaos $(if $(SEED),--seed $(SEED)) $(if $(EVENTS),--events $(EVENTS))

outages: install ## PostgreSQL restarted, cut off and frozen, relays killed, at 1,000 events/s with 500 waits: a table; ONLY=frozen.
	@$(BIN)/python -m tests.outages $(if $(ONLY),--only "$(ONLY)")

test-events: install ## 50,000 pairs of generated events: two that can be read differently never share a key; PAIRS=… for others.
	VOD_TEST_EVENT_PAIRS=$(or $(PAIRS),50000) $(BIN)/pytest -n $(JOBS) tests/unit/events/test_identity.py

test-versions: install ## Airflow 3.0 to 3.3, with the lowest of all that is needed, and every Python: demo, plugin, examples, unit tests; ONLY=3.1.8, SOME=1 for two rows, MINUTES=….
	@$(BIN)/python -m tests.versions $(if $(ONLY),--only "$(ONLY)") $(if $(SOME),--some) $(if $(MINUTES),--minutes $(MINUTES))

test-mysql: install ## What holds on any database, on a MariaDB server of the tests' own (Debian: mariadb-server-core, mariadb-client-core).
	VOD_TEST_DATABASES=mariadb $(BIN)/pytest -n $(JOBS) --dist loadfile -k mariadb \
		tests/unit/inbox tests/unit/relay tests/unit/waiting tests/integration

test-ui: $(VENV)/.installed-ui ## The page "VOD events" in a real browser (Debian's chromium, or $$CHROMIUM).
	$(BIN)/pytest tests/ui

test-deployment: install ## Deployment's files read by systemd, Prometheus, and the schemas of Kubernetes and Compose (Debian: systemd, prometheus).
	@$(BIN)/python -m tests.deployment

$(VENV)/.installed-ui: $(VENV)/.installed requirements-ui.lock
	@if command -v uv >/dev/null 2>&1; then \
		uv pip install --quiet --python $(BIN)/python --require-hashes -r requirements-ui.lock; \
	else \
		$(BIN)/pip install --quiet --require-hashes -r requirements-ui.lock; \
	fi
	@touch $@

docs: install ## The documentation as a site in docs/_build; warnings are errors.
	$(BIN)/python -m sphinx -E -W --keep-going -q -b html docs docs/_build

screenshots: $(VENV)/.installed-ui ## Take the pictures of the documentation anew, in a real browser; six minutes, of which five are an outage.
	VOD_TEST_PICTURES=docs $(BIN)/pytest tests/ui/test_pictures.py

##@ While you write
lint: install ## Linters and types.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: install ## Let ruff rewrite what it can.
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

##@ Release
lock: ## Resolve the dependencies anew (needs uv).
	uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --python-version 3.11 --extra dev \
		--no-emit-package airflow-provider-tencent-vod --custom-compile-command "make lock" -o requirements.lock pyproject.toml
	echo playwright | uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --python-version 3.11 \
		--constraint requirements.lock --custom-compile-command "make lock" -o requirements-ui.lock -

dist: install ## Build source distribution and wheel in dist/, the same bytes from the same commit, and check them.
	rm -rf dist
	SOURCE_DATE_EPOCH=$$(git log -1 --format=%ct) $(BIN)/python -m build --no-isolation
	$(BIN)/twine check --strict dist/*

clean: ## Remove what the targets made.
	rm -rf $(VENV) docs/_build .ruff_cache .mypy_cache .hypothesis build dist
