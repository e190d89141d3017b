# Everything happens in .venv; only python3 with venv, and make, must be there.
#
#   PYTHON   the interpreter that .venv is made with
#   HTTP     where `make run` listens
#   OPTIONS  more options for the daemon of `make run`
#   T        more arguments for pytest, as in: make test T='-k reload -x'

PYTHON ?= python3
HTTP ?= 127.0.0.1:8000
OPTIONS ?=
T ?=

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check

.PHONY: help run test check lint format readme clean
.DEFAULT_GOAL := help

help:  ## print these lines
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' Makefile | while IFS="$$(printf '\t')" read -r name what; do \
		printf '  make %-8s %s\n' "$$name" "$$what"; done

run: $(VENV)/.ready-examples  ## serve vassals.d/ on http://127.0.0.1:8000 (HTTP=HOST:PORT for another)
	$(BIN)/emperor --http $(HTTP) --allow-root $(OPTIONS) vassals.d

test: $(VENV)/.ready-test  ## run the tests; what a missing program or right forbids is skipped, and says why
	$(BIN)/python -m pytest $(T)

check: lint test  ## formatter, linter, types, and the tests

lint: $(VENV)/.ready-dev  ## formatter, linter and types alone
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: $(VENV)/.ready-dev  ## rewrite the sources as the formatter wants them
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

readme: $(VENV)/.ready-test  ## write README.md's generated table anew
	$(BIN)/python contrib/readme.py

clean:  ## remove .venv and everything else that was made
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# A half-made .venv would look finished to the next run, so it goes again.
$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "$(PYTHON): Python 3.11 or newer is needed -- try make PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) \
		|| { rm -rf $(VENV); echo "$(PYTHON): no virtualenv was made -- apt install python3-venv" >&2; exit 1; }

$(VENV)/.ready-%: pyproject.toml | $(BIN)/python
	$(PIP) --editable '.[$*]'
	@touch $@

# Beside .ready-%: the linters read the tests too, so they want what the tests want.
$(VENV)/.ready-dev: pyproject.toml | $(BIN)/python
	$(PIP) --editable '.[test,dev]'
	@touch $@
