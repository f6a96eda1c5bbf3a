# make run   installs, trains, samples, writes a report        make test   installs and runs every test
# Also: setup, test-fast, test-run, test-slow, lint, docs, lock, clean.
SHELL := /bin/bash
BIN := .venv/bin
# One thread a process: two test processes share the cores, and torch's own threads would only fight over them.
PYTEST := OMP_NUM_THREADS=1 MKL_NUM_THREADS=1 WANDB_MODE=offline $(BIN)/pytest -n 2
PYTHON := $(shell for name in python3.11 python3 python; do \
  $$name -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null && echo $$name && break; done)

.PHONY: run setup test test-fast test-run test-slow lint docs lock clean

run: setup
	@set -e; run=outputs/make_run/$$(date +%Y%m%d-%H%M%S)-$$$$; \
	$(BIN)/python train.py paths.output_dir=$$run; \
	$(BIN)/python sample.py ckpt=$$run/checkpoints/best.ckpt sampler.n_samples=16; \
	echo; echo "Open this in a browser: $$run/report.html"; test -s $$run/report.html

setup: .venv/installed-project

.venv/bin/python:
	@test -n "$(PYTHON)" || { echo "hydramol needs CPython 3.11: neither python3.11 nor python3 is one" >&2; exit 1; }
	$(PYTHON) -m venv .venv

.venv/installed-lock: requirements.lock requirements.override scripts/install.sh | .venv/bin/python
	scripts/install.sh
	@touch $@

.venv/installed-project: pyproject.toml setup.py .venv/installed-lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

test: test-fast test-run test-slow

test-fast: setup
	$(PYTEST) -m "not run and not slow and not gpu"

test-run: setup
	$(PYTEST) -m "run and not slow and not gpu"

test-slow: setup
	$(PYTEST) -m "slow and not gpu"

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: setup
	$(BIN)/python docs/build.py

# Adds what pyproject.toml asks for and keeps the other versions; UPGRADE=--upgrade takes the newest of all.
# CUDA's packages stay out: torch, which goes first, brings those that its build for this machine needs.
lock: setup
	cp requirements.lock requirements.lock.new
	$(BIN)/uv pip compile --quiet $(UPGRADE) --all-extras --no-annotate --no-header --override requirements.override \
	  pyproject.toml --output-file requirements.lock.new
	sed -i -E -e '/^(nvidia|cuda|triton)/d' -e 's/^(torch==[^+]*)\+.*/\1/' requirements.lock.new
	sed -n '/^#/p' requirements.lock | cat - requirements.lock.new > requirements.lock.whole
	mv requirements.lock.whole requirements.lock; rm requirements.lock.new

clean:
	rm -rf .venv build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
