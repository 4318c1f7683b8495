# Few verbs. `make demo` and `make test` set up .venv by themselves; PYTHON=python3.12 chooses another interpreter.
PYTHON  ?= python3
VENV    := .venv
ifeq ($(OS),Windows_NT)
BIN     := $(VENV)/Scripts
else
BIN     := $(VENV)/bin
endif
# Stamps: made again when the versions change.
PACKAGE := $(VENV)/.package-installed
DEV     := $(VENV)/.dev-installed
# A file's tests share what they set up, so a file stays with one worker; each takes half a gigabyte.
TOGETHER := -n auto --maxprocesses 4 --dist loadfile
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

.PHONY: demo test test-all check tiny-model bench studies

demo: $(PACKAGE)
	$(BIN)/kurabe demo

test: $(DEV)
	$(BIN)/python -m pytest $(TOGETHER) -m "not slow"

test-all: $(DEV)
	$(BIN)/python -m pytest $(TOGETHER) -p tests.held_files

check: $(DEV)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/mypy --platform darwin
	$(BIN)/mypy --platform win32
	$(BIN)/lint-imports
	$(BIN)/python -m pytest $(TOGETHER) -m "not slow"

tiny-model: $(DEV)
	$(BIN)/python models/tiny/make.py

bench: $(DEV)
	$(BIN)/python benchmarks/run_all.py

studies: $(DEV)
	$(BIN)/python -m studies --afresh

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(PACKAGE): pyproject.toml constraints.txt | $(BIN)/python
	$(INSTALL) -e .
	touch $@

$(DEV): pyproject.toml constraints.txt | $(BIN)/python
	$(INSTALL) -e ".[dev]"
	touch $@ $(PACKAGE)
