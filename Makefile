# Two commands set everything up on a machine with Python 3.11 or later:
#   make quickstart   installs npecat and runs all three stages in minutes
#   make test         installs npecat and passes the tests
# `make docs` builds the documentation in docs/_build/html.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: quickstart test lint docs
quickstart: .venv/installed
	$(BIN)/npecat run quickstart

test: .venv/installed
	$(BIN)/python -m pytest -n 2 --dist loadfile

lint: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

docs: .venv/installed
	$(BIN)/sphinx-build -W --keep-going --show-traceback -b html docs docs/_build/html

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[test]'
	touch $@
