# make run: everything set up, the corpus ingested, the app open. make test: everything set up, the suite passed.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/ready
CORPUS ?= corpus
LIBRARY ?= library
export PIP_DISABLE_PIP_VERSION_CHECK = 1
export ANONYMIZED_TELEMETRY = False

.PHONY: run ingest test check lint types bench clean
.DELETE_ON_ERROR:

run: ingest
	$(BIN)/footnote chat --library $(LIBRARY)

ingest: $(READY)
	$(BIN)/footnote ingest $(CORPUS) --library $(LIBRARY)

test: $(READY)
	$(BIN)/python -m pytest

check: lint types test

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(READY)
	$(BIN)/mypy

bench: $(READY)
	$(BIN)/python -m tests.bench

clean:
	rm -rf $(VENV) library runs build .pytest_cache .mypy_cache .ruff_cache .hypothesis *.egg-info

# torch goes first and alone: asked for with an exact version, pip takes a build without CUDA where there is one.
$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Footnote needs Python 3.11 or newer, $(PYTHON) is older: make PYTHON=python3.11" >&2; exit 1; }
	@echo "Setting up $(VENV); the first time takes a few minutes."
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q --upgrade pip
	$(BIN)/python -m pip install -q --no-deps "$$(grep '^torch==' constraints.txt)"
	$(BIN)/python -m pip install -q -c constraints.txt -e '.[dev,finetune]'
	@touch $(READY)
