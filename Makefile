# `make serve` and `make test` need Python 3.11 or newer, git and make; everything else they bring along.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.SUFFIXES:

VENV ?= .venv
INI ?= development.ini
VERSIONS ?= 3.11 3.12 3.13 3.14 3.15
SUITE ?= all
# Tests at a time. They wait more than they compute.
JOBS ?= 4
ARGS ?=

BIN := $(VENV)/bin
BUILD := setup.py pyproject.toml
PYTHON = $(shell .ci/find-python)
# A variable of the caller's shell must not decide what is tested here.
export AIOHTTP_WORKER_COMPILE := 0
# Without bytecode beside the source each of the many servers that the tests start compiles the package anew: half of its start.
export PYTHONDONTWRITEBYTECODE :=

# What the two suites are. The fast one needs no server process; the full one is everything.
suite-all :=
suite-fast := -m "not slow" --ignore-glob="*/functional"
PYTEST = -m pytest -n $(JOBS) --dist loadscope $(suite-$(SUITE)) $(ARGS)

.PHONY: help serve install test fast coverage lint format types benchmark matrix pythons floors compiled sanitize count docs wheel wheels clean

help:  ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 12

serve: $(VENV)/.serve  ## serve development.ini (or INI=file)
	exec $(BIN)/python -m aiohttp_worker $(INI)

install: $(VENV)/.test  ## make .venv with everything that the tests need

test: $(VENV)/.test  ## run all tests (ARGS=… goes to pytest)
	$(BIN)/python $(PYTEST)

fast: SUITE := fast
fast: $(VENV)/.test  ## run the tests that need no server process
	$(BIN)/python $(PYTEST)

lint: $(VENV)/.lint  ## ruff
	$(BIN)/ruff check .

format: $(VENV)/.lint  ## let ruff lay the files out
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

types: $(VENV)/.lint  ## mypy --strict
	$(BIN)/mypy

benchmark:  ## compare the server with others; ARGS=--help lists what can be chosen
	"$(PYTHON)" -m benchmarks $(ARGS)

coverage: $(VENV)/.lint  ## show each file whose statements the fast tests reach to less than 90 %
	mkdir -p build
	$(BIN)/python -m coverage run -m pytest -q -p no:xdist $(suite-fast) $(ARGS)
	$(BIN)/python -m coverage json -q -o build/coverage.json
	$(BIN)/python -m tests.coverage_floor build/coverage.json

matrix:  ## run the tests with every version in VERSIONS that is found (SUITE=fast for the fast ones)
	@failed=; for version in $(VERSIONS); do \
	    if python=$$(.ci/find-python $$version); then \
	        echo "== Python $$version"; \
	        $(MAKE) --no-print-directory test VENV=.venv-$$version PYTHON="$$python" SUITE=$(SUITE) || failed="$$failed $$version"; \
	    fi; \
	done; \
	if [ -n "$$failed" ]; then echo "failed with:$$failed" >&2; exit 1; fi

pythons:  ## fetch Python 3.14 and 3.15 from Debian into a folder outside of this one, for `make matrix`; no root
	.ci/pythons

floors: .venv-floors/.floors  ## run the tests with the lowest versions that setup.py allows
	.venv-floors/bin/python $(PYTEST)

compiled:  ## run the tests on the files as mypyc compiles them
	@# In a copy, because a compiled file beside its source would win over every later edit.
	rm -rf build/compiled
	mkdir -p build/compiled
	git ls-files -z --cached --others --exclude-standard | xargs -0 tar -cf - --ignore-failed-read | tar -xf - -C build/compiled
	test -x .venv-compiled/bin/python || "$(PYTHON)" -m venv .venv-compiled
	AIOHTTP_WORKER_COMPILE=1 .venv-compiled/bin/python -m pip install -q -e 'build/compiled[all,test]'
	cd build/compiled && ../../.venv-compiled/bin/python -c \
	    "from aiohttp_worker.server import connection; assert connection.__file__.endswith('.so'), connection.__file__"
	cd build/compiled && ../../.venv-compiled/bin/python $(PYTEST) -o cache_dir="$(CURDIR)/.pytest_cache/compiled"

sanitize: $(VENV)/.test  ## run the tests of heads, and mutated heads, with sanitizers in what is compiled with pointers
	.ci/sanitize $(BIN)/python

count:  ## count the instructions of requests in what `make compiled` built, against benchmarks/instructions.json
	cd build/compiled && ../../.venv-compiled/bin/python -m benchmarks.instructions

docs: .venv-docs/.docs  ## build the documentation as a site in build/docs
	.venv-docs/bin/python -m sphinx -q -W --keep-going -b html -d build/docs-cache docs build/docs
	@echo "open file://$(CURDIR)/build/docs/index.html"

wheel: $(VENV)/bin/python  ## build a wheel in dist/, compiled where that is possible
	AIOHTTP_WORKER_COMPILE= $(BIN)/python -m pip wheel -q --no-deps -w dist .

wheels:  ## build a release in dist/: compiled wheels, plain ones, source archives; each is tried (ARGS=--help)
	"$(PYTHON)" .ci/wheels --versions "$(VERSIONS)" --test $(ARGS)

clean:  ## remove what builds, tests and environments left
	rm -rf build dist .venv .venv-* *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/bin/python:
	@test -n '$(PYTHON)'
	"$(PYTHON)" -m venv $(VENV)

$(VENV)/.serve: $(VENV)/bin/python $(BUILD)
	$(BIN)/python -m pip install -q -e '.[uvloop]'
	touch $@

$(VENV)/.test: $(VENV)/bin/python $(BUILD)
	$(BIN)/python -m pip install -q -e '.[all,test]'
	touch $@

$(VENV)/.lint: $(VENV)/.test
	$(BIN)/python -m pip install -q -e '.[all,test,lint]'
	touch $@

.venv-docs/.docs: requirements/docs.txt $(BUILD)
	test -x .venv-docs/bin/python || "$(PYTHON)" -m venv .venv-docs
	.venv-docs/bin/python -m pip install -q -e . -r requirements/docs.txt
	touch $@

.venv-floors/.floors: requirements/floors.py $(BUILD)
	test -x .venv-floors/bin/python || "$(PYTHON)" -m venv .venv-floors
	.venv-floors/bin/python -m pip install -q -e '.[all,test]'
	.venv-floors/bin/python requirements/floors.py > .venv-floors/floors.txt
	.venv-floors/bin/python -m pip install -q -r .venv-floors/floors.txt
	.venv-floors/bin/python -m pip check
	touch $@
