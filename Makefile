# Everything starts here: `make help` lists it.
SHELL := /bin/bash
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
FOLDER ?=
COMPILE := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header
JOBS ?= auto
# What has a database of its own for each test runs side by side; the rest shares one API server, or is timed.
SIDE_BY_SIDE := tests/chaos tests/conformance tests/contract tests/integration/runtime tests/integration/product_docs tests/integration/interoperability
REST := $(addprefix --ignore=,tests/unit tests/architecture $(SIDE_BY_SIDE))

# What runs on real servers and processes and fails is tried once more, alone and on new servers. See CONTRIBUTING.md.
define prove
	$(BIN)/python -m pytest -q $(1) || { status=$$?; test $$status -eq 1 || exit $$status; \
	  echo "==> Once more, alone: what failed above. What passes now is unsteady, and a bug of the test or the product."; \
	  $(BIN)/python -m pytest -v --last-failed --last-failed-no-failures none $(2); }
endef

.PHONY: help
help: ## List the targets
	@awk 'BEGIN {FS = ":.*## "} /^[a-z][a-zA-Z0-9_-]*:.*## / {printf "  %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(VENV)/.ready: pyproject.toml requirements/dev.txt
	@echo "==> Making $(VENV) (about half a minute the first time)"
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed; this is " + sys.version.split()[0] if sys.version_info < (3, 11) else 0)'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check "uv>=0.8,<1"
	@$(BIN)/uv pip sync --quiet --python $(BIN)/python --require-hashes requirements/dev.txt
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --editable .
	@touch $@

.PHONY: install
install: $(VENV)/.ready ## Make the development environment in .venv

.PHONY: demo
demo: $(VENV)/.ready ## Run the main job without a cluster (FOLDER=… for other files)
	@FOLDER="$(FOLDER)" $(BIN)/python examples/quickstart/demo.py

.PHONY: check
check: $(VENV)/.ready ## Format, lint, types, import contracts, unit and architecture tests
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/hadolint Dockerfile
	$(BIN)/shellcheck .ci/*
	$(BIN)/python -m pytest -q tests/unit tests/architecture

.PHONY: tools
tools: $(VENV)/.ready ## Fetch or build what the tests need: a Kubernetes control plane, Helm, Prometheus, the published package
	@cd tests && ../$(BIN)/python -m support.controlplane.fetch && ../$(BIN)/python -m support.helm && ../$(BIN)/python -m support.prometheus.fetch && ../$(BIN)/python -c 'from support.peer import peer_python; peer_python()'

.PHONY: test
test: check tools ## Everything that proves the product: a real PostgreSQL and a real Kubernetes API server included
	$(call prove,-n $(JOBS) --dist loadfile $(SIDE_BY_SIDE),$(SIDE_BY_SIDE))
	$(call prove,tests $(REST),tests $(REST))

.PHONY: e2e
e2e: $(VENV)/.ready ## The main job on the cluster of KUBECONFIG (docs/e2e.md lists the settings)
	@PYTHONPATH=tests $(BIN)/python -m journey

.PHONY: kind
kind: $(VENV)/.ready ## The same on a cluster of its own: docker and kind are needed
	@PYTHONPATH=tests $(BIN)/python -m journey.kind

.PHONY: image
image: ## Build the images of the operator and of workers (docs/images.md lists the variables)
	@.ci/image

.PHONY: docs
docs: $(VENV)/.ready ## Build the documentation site into build/site, without a network
	@echo "==> Building build/site: guides, and reference pages out of the docstrings (about half a minute)"
	@$(BIN)/python docs/site/pages.py
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict --clean
	@echo "==> Open build/site/index.html, or serve it with search: $(BIN)/python -m http.server --directory build/site"

.PHONY: generate
generate: ## Copy crds/ into the chart, which can hold files of its own folder only
	cp crds/*.yaml charts/dbos-operator/files/crds/

ONLY ?=
ROUNDS ?=
QUICK ?=
OUTPUT ?= build/bench.json

.PHONY: bench
bench: $(VENV)/.ready ## Measure ours beside the published package, and the operator (ONLY=enqueue,operator ROUNDS=3 QUICK=1 OUTPUT=…)
	@cd tests && ../$(BIN)/python -m benchmarks.bench --output "$(abspath $(OUTPUT))" \
	  $(if $(ONLY),--only "$(ONLY)") $(if $(ROUNDS),--rounds "$(ROUNDS)") $(if $(QUICK),--quick)

.PHONY: bench-page
bench-page: $(VENV)/.ready ## Write the tables of docs/performance.md from docs/performance.json
	@cd tests && ../$(BIN)/python -m benchmarks.page

.PHONY: format
format: $(VENV)/.ready ## Format and fix what can be fixed
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

.PHONY: lock
lock: ## Resolve the dependencies again into requirements/
	$(COMPILE) --extra operator --extra embedded --group dev pyproject.toml -o requirements/dev.txt
	$(COMPILE) --extra operator -c requirements/dev.txt pyproject.toml -o requirements/operator.txt
	$(COMPILE) -c requirements/dev.txt pyproject.toml -o requirements/runtime.txt
	$(COMPILE) --group build -o requirements/build.txt

.PHONY: clean
clean: ## Remove what was built here (the tool cache stays)
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache build dist
