# Two commands do all set-up: `make demo` and `make test`. Both are quick when nothing changed.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
# One process for each core.
EACH := --numprocesses auto --dist worksteal
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint deploy/constraints.txt

.PHONY: help demo serve test check format bench clean

help: ## Say what there is
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

demo: .venv/.demo ## Run the main job on the bundled network and digits, into ./out
	$(BIN)/afternorm demo --out out

serve: .venv/.demo ## Serve the REST interface on http://127.0.0.1:8000, keeping everything in ./data
	$(BIN)/afternorm serve

test: check ## Everything CI runs: check, then the slow tests
	$(BIN)/pytest $(EACH) -m slow

check: .venv/.dev ## Format, lint, types, import rule, doctests and the quick tests
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/pytest $(EACH) -m "not slow"

format: .venv/.dev ## Put the code in order
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: .venv/.dev ## Measure costs, and run the published architectures
	@for script in tests/benchmarks/[a-z]*.py; do \
		OMP_NUM_THREADS=1 $(BIN)/python -m tests.benchmarks.$$(basename $$script .py) || exit 1; done

clean: ## Remove the environment and all results
	rm -rf .venv out

.venv/bin/python:
	$(PYTHON) -m venv .venv

.venv/.demo: pyproject.toml deploy/constraints.txt | .venv/bin/python
	$(INSTALL) --editable '.[cpu,serve,demo]'
	@touch $@

.venv/.dev: pyproject.toml deploy/constraints.txt | .venv/bin/python
	$(INSTALL) --editable '.[cpu,serve,demo,dev]'
# The OpenCV that imagecorruptions-imaug asks for needs a screen's libraries; this one, put in its place, needs none.
	$(INSTALL) --force-reinstall --no-deps opencv-python-headless
	@touch $@
