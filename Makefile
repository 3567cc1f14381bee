PYTHON ?= python3
VIDEOS ?=
CONSTRAINTS ?= constraints.txt
BIN := .venv/bin
INSTALLED := .venv/installed

.DEFAULT_GOAL := help
.PHONY: help demo test lint format docs benchmark fuzz clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## /{printf "make %-10s %s\n", $$1, $$2}' Makefile
	@echo
	@echo "Your videos:   make demo VIDEOS=\"talk.mp4 'my film.mp4'\"    (quote names that contain spaces)"
	@echo "Other Python:  make demo PYTHON=python3.12"

demo: $(INSTALLED) ## Render a video, index it (and VIDEOS) and search it
	@$(BIN)/python -m examples.demo $(VIDEOS)

test: $(INSTALLED) ## Run the tests and the docstring examples
	$(BIN)/python -m pytest -q -n 2 --dist loadfile

lint: $(INSTALLED) ## Check style and types
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy langchain_videochat examples tests

format: $(INSTALLED) ## Format the code and apply automatic fixes
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

docs: $(INSTALLED) ## Write the API reference to build/docs
	$(BIN)/python -m tests.api_docs build/docs

benchmark: $(INSTALLED) ## Measure speed and quality on this machine
	$(BIN)/python -m tests.benchmarks

fuzz: $(INSTALLED) ## Read mutated files for two minutes
	$(BIN)/python -m tests.fuzz --minutes 2

clean: ## Remove the demo, builds and caches, but not .venv
	rm -rf demo build dist .benchmarks .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find langchain_videochat examples tests -name __pycache__ -type d -prune -exec rm -rf {} +

$(INSTALLED): pyproject.toml $(CONSTRAINTS)
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is required: make PYTHON=python3.11 ..." if sys.version_info < (3, 11) else 0)'
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@echo "Installing the package and its tools into .venv: about three minutes the first time"
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --constraint $(CONSTRAINTS) --editable '.[app,community,dev,evaluation,instruct,mcp,offline,quantize,ray,rtl,server,train]'
	@touch $@
