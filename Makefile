# Every command of the project. `make help` lists them; each one makes the virtual environment that it needs.
SHELL := /bin/sh
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

VENV ?= .venv
RUN := $(VENV)/bin/python

# The newest supported interpreter that really runs and can make virtual environments (a pyenv shim may do neither).
PYTHON ?= $(shell for candidate in python3.13 python3.12 python3.11 python3 python; do \
	"$$candidate" -c 'import ensurepip, sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' >/dev/null 2>&1 \
	&& echo "$$candidate" && break; done)

SHIPPED := app train.py main.py scripts data/generate_dataset.py
TYPED := $(SHIPPED) benchmarks
LINTED := .
# As many as there are processors: more of them, and what waits for a process waits too long on a machine that is shared.
SIDE_BY_SIDE ?= --numprocesses $$(getconf _NPROCESSORS_ONLN) --dist loadfile --no-loadscope-reorder
PYTEST_ARGS ?=
TRAIN_ARGS ?=
BENCH_ARGS ?=
SOAK_ARGS ?=

define install
	@test -n "$(PYTHON)" || { \
		echo 'make: found no Python 3.11, 3.12 or 3.13 with the ensurepip module.' >&2; \
		echo 'Install one (Debian and Ubuntu: apt-get install python3 python3-venv), or name it: make PYTHON=/path/to/python3.12' >&2; \
		exit 1; }
	@"$(RUN)" -c '' 2>/dev/null || { echo "Making $(VENV) with $(PYTHON)"; "$(PYTHON)" -m venv "$(VENV)"; }
	@echo "Installing $(1) into $(VENV), which takes a minute or two"
	@"$(RUN)" -m pip install --quiet --disable-pip-version-check --no-input --no-deps --require-hashes --requirement $(1)
endef

# A stamp is written only after a complete installation, so that an interrupted one is repeated.
$(VENV)/.installed: requirements.lock
	$(call install,requirements.lock)
	@touch $@

# The development lock has everything of requirements.lock, so it counts as both.
$(VENV)/.installed-dev: requirements-dev.lock
	$(call install,requirements-dev.lock)
	@touch $(VENV)/.installed $@

.PHONY: help
help: ## List the commands
	@awk 'BEGIN { FS = ":.*## " } /^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# make exports HOST=, PORT= and WORKERS= of its own command line, and the service reads them (and .env) itself.
.PHONY: serve
serve: $(VENV)/.installed ## Serve on http://127.0.0.1:8000 (HOST=, PORT=, WORKERS=), training a model first if there is none
	@ls "$${MODELS_BASE_DIR:-models}"/v*/manifest.json >/dev/null 2>&1 || "$(RUN)" train.py
	@exec "$(RUN)" -m app

.PHONY: dev
dev: $(VENV)/.installed ## Serve as `make serve` does, and start anew when a file of app/ changes (HOST=, PORT=)
	@STRUCTURED_LOGS="$${STRUCTURED_LOGS:-false}" exec "$(RUN)" -m uvicorn app.main:app --reload --reload-dir app \
		--host "$${HOST:-127.0.0.1}" --port "$${PORT:-8000}" --no-access-log

.PHONY: train
train: $(VENV)/.installed ## Train a model (TRAIN_ARGS="--data tickets.csv --version 1.1.0")
	"$(RUN)" train.py $(TRAIN_ARGS)

.PHONY: test
test: lint types security unit ## Run every check: lint, types, security and tests with coverage

.PHONY: lint
lint: $(VENV)/.installed-dev ## Check style and formatting
	"$(RUN)" -m ruff check $(LINTED)
	"$(RUN)" -m ruff format --check $(LINTED)

.PHONY: types
types: $(VENV)/.installed-dev ## Check types
	"$(RUN)" -m mypy --strict $(TYPED)

.PHONY: security
security: $(VENV)/.installed-dev ## Look for insecure code
	"$(RUN)" -m bandit --quiet --recursive --configfile pyproject.toml $(SHIPPED)

.PHONY: unit
unit: $(VENV)/.installed-dev ## Run the tests, those that measure time by themselves, and fail when they cover too little
	"$(RUN)" -m pytest -m "not alone" $(SIDE_BY_SIDE) --cov --cov-report= --cov-fail-under=0 $(PYTEST_ARGS)
	"$(RUN)" -m pytest -m alone --cov --cov-append --cov-report=term $(PYTEST_ARGS)

.PHONY: quick
quick: $(VENV)/.installed ## Run the tests that are not slow, or some of them (PYTEST_ARGS="-k metrics"), without the development tools
	"$(RUN)" -m pytest -m "not slow" $(PYTEST_ARGS)

.PHONY: audit
audit: $(VENV)/.installed-dev ## Look the locked packages up in the public list of vulnerabilities (needs the network)
	"$(RUN)" -m pip_audit --strict --require-hashes --disable-pip --requirement requirements.lock

.PHONY: sbom
sbom: $(VENV)/.installed-dev ## Write reports/sbom.json, the CycloneDX list of what the image installs
	@mkdir -p reports
	"$(RUN)" -m venv --clear --without-pip .venvs/image
	"$(RUN)" -m pip --python .venvs/image install --quiet --disable-pip-version-check --no-input --no-deps --require-hashes \
		--requirement requirements-serve.lock --requirement requirements-redis.lock --requirement requirements-postgres.lock --requirement requirements-connectors.lock
	"$(RUN)" -m cyclonedx_py environment --pyproject pyproject.toml --output-reproducible --output-file reports/sbom.json .venvs/image/bin/python

.PHONY: bench
bench: $(VENV)/.installed ## Measure the model and the service against what they replace (BENCH_ARGS="--rounds 9")
	"$(RUN)" -m benchmarks $(BENCH_ARGS)

.PHONY: measure
measure: $(VENV)/.installed ## Measure again what the README shows, and overload, and write both into the pages; a quarter of an hour
	"$(RUN)" -m benchmarks --keep
	"$(RUN)" -m benchmarks.overload --keep
	"$(RUN)" -m benchmarks.figures --write

.PHONY: figures
figures: $(VENV)/.installed ## Write the figures of benchmarks/results into the pages, without measuring
	"$(RUN)" -m benchmarks.figures --write

.PHONY: bench-peers
bench-peers: $(VENV)/.installed ## Measure /classify against other model servers with the same model (BENCH_ARGS="--rounds 9 --only litserve")
	"$(RUN)" -m benchmarks.peers $(BENCH_ARGS)

.PHONY: soak
soak: $(VENV)/.installed ## Send 100,000 clients in 30 minutes, and see that memory and open files stay flat (SOAK_ARGS="--minutes 3 --clients 10000")
	"$(RUN)" -m benchmarks.soak $(SOAK_ARGS)

.PHONY: bench-quality
bench-quality: $(VENV)/.installed ## Train on known sets in DIR= and score their dev parts, which takes half an hour (BENCH_ARGS="--only cfpb5")
	"$(RUN)" -m benchmarks.quality "$(DIR)" --keep $(BENCH_ARGS)
	"$(RUN)" -m benchmarks.figures --write

.PHONY: measure-faults
measure-faults: $(VENV)/.installed ## Kill and freeze the service and its stores, 100 times each, and write the figures into the pages; half an hour
	"$(RUN)" -m benchmarks.store_kills --keep
	"$(RUN)" -m benchmarks.store_faults --keep
	"$(RUN)" -m benchmarks.figures --write

.PHONY: load-test
load-test: $(VENV)/.installed ## Load the service with Locust, several users at a time, and write the figures and the plot of load_test.md
	"$(RUN)" -m benchmarks.load_test --keep $(BENCH_ARGS)
	"$(RUN)" -m benchmarks.figures --write

.PHONY: screenshots
screenshots: $(VENV)/.installed-dev ## Draw the console's pages into reports/screenshots (BENCH_ARGS=--readme: those of the README)
	"$(RUN)" -m benchmarks.screenshots $(or $(BENCH_ARGS),reports/screenshots)

.PHONY: format
format: $(VENV)/.installed-dev ## Rewrite the code in the project's format
	"$(RUN)" -m ruff check --fix $(LINTED)
	"$(RUN)" -m ruff format $(LINTED)

# One resolution for CPython 3.11 to 3.13: training must write the same bytes on each of them, so each gets the same numpy, scipy and scikit-learn.
LOCK := uv pip compile --quiet --universal --generate-hashes --python-version 3.11 --fork-strategy fewest --no-emit-index-url --override requirements-left-out.txt --custom-compile-command 'make lock'
.PHONY: lock
lock: ## Resolve requirements*.txt again into requirements*.lock (needs uv; LOCK_ARGS=--upgrade for newer versions)
	$(LOCK) $(LOCK_ARGS) requirements-dev.txt --output-file requirements-dev.lock
	for name in requirements requirements-serve requirements-redis requirements-postgres requirements-connectors requirements-signing requirements-teacher tests/helpdesks/django-helpdesk; do \
		$(LOCK) --constraint requirements-dev.lock $$name.txt --output-file $$name.lock || exit 1; done

.PHONY: clean
clean: ## Remove the virtual environments, caches and reports
	rm -rf .venv .venvs .mypy_cache .pytest_cache .ruff_cache .hypothesis .coverage .coverage.* htmlcov reports
	find app benchmarks data scripts tests -name __pycache__ -type d -prune -exec rm -rf {} +
