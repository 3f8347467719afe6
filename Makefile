# What a contributor types. Everything runs from a virtual environment that is made when it is missing.
PYTHON ?= python3
VENV ?= .venv
QUICKSTART ?= quickstart
BIN := $(VENV)/bin

LOWEST ?= .venv-lowest

.PHONY: help quickstart test test-avx2 test-lowest check dist benchmark docs style clean

help:
	@echo "make quickstart  train a small network on drawn data and predict with it, in minutes"
	@echo "make test        run all tests"
	@echo "make test-avx2   run the tests that depend on the processor, with AVX2 alone"
	@echo "make check       lint, format, types, layers and docs, as CI does"
	@echo "make test-lowest run the quick tests with the lowest versions of what is needed"
	@echo "make dist        build the wheel and the sdist, check what is in them, and use the wheel"
	@echo "make benchmark   ours beside what people would use instead, in short; results in benchmark-results"
	@echo "make docs        show the documentation at http://127.0.0.1:8000"
	@echo "make style       mend what the linter and the formatter can mend"
	@echo "make clean       remove what these commands made, the virtual environment apart"

quickstart: $(VENV)/.installed
	$(BIN)/python examples/quickstart.py $(QUICKSTART)

test: $(VENV)/.installed-test
	$(BIN)/python -m pytest -n logical --maxprocesses 4

# ONNX Runtime has no such setting; its 8-bit files are tested by the range of their weights.
test-avx2: $(VENV)/.installed-test
	ONEDNN_MAX_CPU_ISA=AVX2 ATEN_CPU_CAPABILITY=avx2 MKL_ENABLE_INSTRUCTIONS=AVX2 \
	  $(BIN)/python -m pytest -n logical --maxprocesses 4 -m processor

check: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/mkdocs build --strict --site-dir site

# The lowest of what we need, with the newest of what that needs in turn: their deprecations are not ours.
test-lowest:
	$(PYTHON) -m venv $(LOWEST)
	$(LOWEST)/bin/python -m pip install --quiet --disable-pip-version-check uv
	$(LOWEST)/bin/uv pip install --quiet --python $(LOWEST)/bin/python --resolution lowest-direct --editable '.[test]'
	$(LOWEST)/bin/python -m pytest -n logical --maxprocesses 4 -m "not slow" -W ignore::DeprecationWarning

dist: $(VENV)/.installed-dev
	rm -rf dist
	$(BIN)/python -m build
	$(BIN)/python -m twine check --strict dist/*
	$(BIN)/python .ci/check_dist.py dist

# Peers that are not installed are left out by name: $(BIN)/pip install transformers ultralytics fastai
benchmark: $(VENV)/.installed-test
	$(BIN)/python benchmarks/startup.py --turns 5 --json benchmark-results/startup.json
	$(BIN)/python benchmarks/predict.py --sizes 128 --json benchmark-results/predict.json
	$(BIN)/python benchmarks/bulk.py --count 300 --turns 3 --json benchmark-results/bulk.json
	$(BIN)/python benchmarks/bulk.py --growth --counts 1000 10000 --json benchmark-results/growth.json
	$(BIN)/python benchmarks/data.py --count 100
	$(BIN)/python benchmarks/roofline.py --sizes 128 --rounds 2 --json benchmark-results/roofline.json
	$(BIN)/python benchmarks/train.py --sizes 128 --rounds 3 --json benchmark-results/train.json

docs: $(VENV)/.installed-docs
	$(BIN)/mkdocs serve --strict

style: $(VENV)/.installed-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf build dist site quickstart .*_cache .hypothesis .coverage
	find src tests examples benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +

# An empty file for each extra that is installed, so that a second call has nothing to do.
$(VENV)/.installed: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

$(VENV)/.installed-%: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[$*]'
	@touch $@

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)
