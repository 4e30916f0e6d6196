# Two commands set everything up on a machine with Python 3.11 or later:
#   make quickstart   installs npecat and runs all three stages in minutes
#   make test         installs npecat and passes the tests
PYTHON ?= python3
BIN := .venv/bin

.PHONY: quickstart test lint
quickstart: .venv/installed
	$(BIN)/npecat run quickstart

test: .venv/installed
	$(BIN)/python -m pytest -n 2 --dist loadfile

lint: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[test]'
	touch $@
