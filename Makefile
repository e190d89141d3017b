# Everything happens in .venv; only python3 with venv, and make, must be there.
#
#   PYTHON   the interpreter that .venv is made with
#   HTTP     where `make run` listens
#   OPTIONS  more options for the daemon of `make run`
#   T        more arguments for pytest, as in: make test T='-k reload -x'
#   BENCH    more arguments for `make bench`, as in: make bench BENCH='--quick --only flask'; BENCH=--help tells all
#   CAMPAIGN more arguments for `make campaign`, as in: make campaign CAMPAIGN='--quick --only reload'
#   FUZZ     more arguments for `make fuzz`, as in: make fuzz FUZZ='--only ini --inputs 10000'; FUZZ=--help tells all
#   PINS     more arguments for `make pins`, as in: make pins PINS=--upgrade

PYTHON ?= python3
HTTP ?= 127.0.0.1:8000
OPTIONS ?=
T ?=
BENCH ?=
CAMPAIGN ?=
FUZZ ?=
PINS ?=

VENV := .venv
BIN := $(VENV)/bin
VENV_BENCH := .venv-bench
VENV_PYPY := .venv-bench-pypy
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
PIP_BENCH := $(VENV_BENCH)/bin/python -m pip install --quiet --disable-pip-version-check --no-cache-dir
# Everything that is fetched is pinned and hashed (requirements/). What comes as source, and what is here, is built with
# what was fetched (build.txt goes first): a build that pip isolates fetches what it likes, without a hash.
FETCH := --require-hashes --only-binary :all: --no-build-isolation
SOURCES := --no-binary uwsgi,uwsgitop
SOURCES_PYPY := --no-binary markupsafe
OURSELVES := --no-deps --no-build-isolation --editable .

.PHONY: help run test test-one test-two check lint format readme bench campaign fuzz pins dist clean
.DEFAULT_GOAL := help

help:  ## print these lines
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' Makefile | while IFS="$$(printf '\t')" read -r name what; do \
		printf '  make %-8s %s\n' "$$name" "$$what"; done

run: $(VENV)/.ready-examples  ## serve vassals.d/ on http://127.0.0.1:8000 (HTTP=HOST:PORT for another)
	$(BIN)/emperor --http $(HTTP) --allow-root $(OPTIONS) vassals.d

# In two parts of about the same length, which `make -j2 -k` runs beside each other.
ifeq ($(strip $(T)),)
test: test-one test-two  ## run the tests; what a missing program or right forbids is skipped, and says why
else
test: $(VENV)/.ready-test
	$(BIN)/python -m pytest $(T)
endif

test-one: $(VENV)/.ready-test
	$(BIN)/python -m pytest tests/unit tests/integration tests/e2e/systemd tests/e2e/test_[a-d]*.py

test-two: $(VENV)/.ready-test
	$(BIN)/python -m pytest tests/e2e --ignore=tests/e2e/systemd --ignore-glob='tests/e2e/test_[a-d]*.py'

check: lint test  ## formatter, linter, types, and the tests

lint: $(VENV)/.ready-dev  ## formatter, linter and types alone
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: $(VENV)/.ready-dev  ## rewrite the sources as the formatter wants them
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

readme: $(VENV)/.ready-test  ## write README.md's generated tables and the manual pages anew
	$(BIN)/python contrib/readme.py
	$(BIN)/python -m contrib.manual

# The driver runs outside of .venv-bench: a file that it shares with our server makes that look smaller.
bench: $(VENV_BENCH)/.ready $(VENV_PYPY)  ## compare with uWSGI, gunicorn and flup, in a quarter of an hour (BENCH=--help)
	$(PYTHON) -m benchmarks --venv $(VENV_BENCH) --pypy $(VENV_PYPY) $(BENCH)

campaign: $(VENV_BENCH)/.ready $(VENV)/.ready-test  ## count what reloads, kills and upgrades cost under load (CAMPAIGN=--help)
	$(BIN)/python -m campaigns --venv $(VENV_BENCH) $(CAMPAIGN)

fuzz: $(VENV_BENCH)/.ready $(VENV)/.ready-test  ## a million damaged inputs for every parser, and for a running daemon (FUZZ=--help)
	$(BIN)/python -m fuzzing --venv $(VENV_BENCH) $(FUZZ)

pins: $(VENV)/.ready-test  ## write requirements/ anew as pyproject.toml wants it (PINS=--upgrade for the newest)
	PATH="$(BIN):$$PATH" $(BIN)/python -m contrib.pins $(PINS)

dist: $(VENV)/.ready-test  ## build dist/*.tar.gz and dist/*.whl, the same bytes wherever and whenever
	$(BIN)/python -m hatchling build

clean:  ## remove .venv and everything else that was made
	rm -rf $(VENV) $(VENV_BENCH) $(VENV_PYPY) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# A half-made .venv would look finished to the next run, so it goes again.
$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "$(PYTHON): Python 3.11 or newer is needed -- try make PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) \
		|| { rm -rf $(VENV); echo "$(PYTHON): no virtualenv was made -- apt install python3-venv" >&2; exit 1; }

# dev has what test has: the linters read the tests too.
$(VENV)/.ready-%: pyproject.toml requirements/build.txt requirements/%.txt | $(BIN)/python
	$(PIP) $(FETCH) --requirement requirements/build.txt
	$(PIP) $(FETCH) $(SOURCES) --requirement requirements/$*.txt
	$(PIP) $(OURSELVES)
	@touch $@

# Copies, so that nothing that is measured shares its interpreter's file with anybody.
$(VENV_BENCH)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "$(PYTHON): Python 3.11 or newer is needed -- try make PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -m venv --copies $(VENV_BENCH) && echo '*' > $(VENV_BENCH)/.gitignore \
		|| { rm -rf $(VENV_BENCH); echo "$(PYTHON): no virtualenv was made -- apt install python3-venv" >&2; exit 1; }

# Without uWSGI, which must be compiled, the other rows can still be measured. No cache: pip takes a uWSGI that was
# compiled for another Python 3.11 for the same thing.
$(VENV_BENCH)/.ready: pyproject.toml requirements/build.txt requirements/bench.txt requirements/uwsgi.txt | $(VENV_BENCH)/bin/python
	$(PIP_BENCH) $(FETCH) --requirement requirements/build.txt
	$(PIP_BENCH) $(FETCH) --requirement requirements/bench.txt
	$(PIP_BENCH) $(OURSELVES)
	-$(PIP_BENCH) $(FETCH) $(SOURCES) --requirement requirements/uwsgi.txt
	@touch $@

# Without PyPy its row says what is missing.
$(VENV_PYPY):
	@if command -v pypy3 >/dev/null; then \
		{ pypy3 -m venv $@ && echo '*' > $@/.gitignore \
			&& $@/bin/python -m pip install --quiet $(FETCH) --requirement requirements/pypybuild.txt \
			&& $@/bin/python -m pip install --quiet $(FETCH) $(SOURCES_PYPY) --requirement requirements/pypy.txt; } \
			|| { rm -rf $@; echo "pypy3: no virtualenv with Flask was made -- apt install pypy3-venv" >&2; }; \
	fi
