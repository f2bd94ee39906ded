# Holdfast needs Python 3.11 to 3.14 with venv, and make. Everything else comes from the lock files
# in requirements/ into .venv; nothing outside this folder is touched.
#
#   make run         start the server with config.toml (ARGS="--port 0" adds arguments)
#   make test        style, types, layers and all tests
#   make coverage    all tests, and which lines and branches they reach
#   make lint        style alone            make format   rewrite to the style
#   make typecheck   mypy and pyright       make lock     renew requirements/*.txt
#   make binary      build dist/holdfast, the whole program in one file
#   make test-binary build it and test it as a user without Python would run it
#   make test-browser  test the pages in Chromium, which is installed if possible
#   make docs        build the documentation into build/docs (open build/docs/index.html)
#   make bench       Holdfast against its peers, in two minutes; make bench-full takes longer
#   make bench-core  the cost of each part, beside its floor
#   make clean       remove everything built; keeps var/, where the world lives

SHELL := /bin/sh
.DEFAULT_GOAL := help
BIN := .venv/bin

# The first supported Python; `make PYTHON=/path/to/python3 ...` chooses another. For later versions
# there is no build of the PostgreSQL that is installed with the packages.
WILL_DO := -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 14))' 2>/dev/null
ifndef PYTHON
PYTHON := $(shell for each in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$each $(WILL_DO) && echo $$each && break; done)
endif

# Keep compiled bytecode, whatever the caller has set: the tests start the program many times.
unexport PYTHONDONTWRITEBYTECODE

# Keep what each run writes in the checkout.
export RUFF_CACHE_DIR := .ruff_cache
export MYPY_CACHE_DIR := .mypy_cache
# Take node from the lock file, never from elsewhere.
export PYRIGHT_PYTHON_GLOBAL_NODE := 0
export PYRIGHT_PYTHON_IGNORE_WARNINGS := 1

.PHONY: help run test lint typecheck layers pytest coverage format lock binary test-binary test-browser chromium docs bench bench-full bench-core clean python env-run env-dev

help:
	@sed -n 's/^#  *\(make .*\)/  \1/p' Makefile

run: env-run
	@exec $(BIN)/holdfast serve --config config.toml $(ARGS)

test: lint typecheck layers pytest

lint: env-dev
	@echo "== style: ruff"
	@$(BIN)/ruff check --quiet .
	@$(BIN)/ruff format --check --quiet . || \
		{ echo "holdfast: not in the project's format; run 'make format'" >&2; exit 1; }

typecheck: env-dev
	@echo "== types: mypy"
	@$(BIN)/mypy --no-error-summary
	@echo "== types: pyright"
	@$(BIN)/pyright

layers: env-dev
	@echo "== layers: bus <- actors <- app"
	@$(BIN)/pytest -q tests/test_layers.py

# Each worker has its own PostgreSQL.
pytest: env-dev
	@echo "== tests"
	@$(BIN)/pytest -q --numprocesses=auto --maxprocesses=4 --dist=worksteal

# Tracing every branch more than doubles the run time of the tests.
coverage: env-dev
	@$(BIN)/pytest -q --cov --cov-report=term

format: env-dev
	@$(BIN)/ruff check --quiet --fix .
	@$(BIN)/ruff format .

# Names, versions and hashes for every platform and Python 3.11 upwards; no index address.
LOCK := $(BIN)/uv pip compile --quiet --upgrade --no-strip-extras --universal --python-version 3.11 \
	--generate-hashes --no-header --no-annotate

lock: env-dev
	@$(LOCK) pyproject.toml requirements/build.in -o requirements/run.txt
	@$(LOCK) --extra dev -c requirements/run.txt pyproject.toml requirements/build.in \
		-o requirements/dev.txt
	@$(LOCK) --extra binary -c requirements/dev.txt pyproject.toml requirements/build.in \
		-o requirements/binary.txt
	@$(LOCK) --extra browser -c requirements/dev.txt pyproject.toml requirements/build.in \
		-o requirements/browser.txt
	@$(LOCK) --extra bench -c requirements/dev.txt pyproject.toml requirements/build.in \
		-o requirements/bench.txt
	@$(LOCK) --extra docs -c requirements/dev.txt pyproject.toml requirements/build.in \
		-o requirements/docs.txt
	@git diff --stat requirements 2>/dev/null || true

binary: python
	@"$(PYTHON)" packaging/build.py

test-binary: binary env-dev
	@HOLDFAST_BINARY=dist/holdfast $(BIN)/pytest -q tests/binary

# The browser driver has its own environment: only these tests need it. With
# HOLDFAST_PICTURES=folder they save screenshots of every view they check.
test-browser: python chromium
	@HOLDFAST_VENV=build/browser "$(PYTHON)" requirements/sync.py browser
	@echo "== browser"
	@HOLDFAST_BROWSER="$${HOLDFAST_BROWSER:-$$(command -v chromium)}" \
		build/browser/bin/python -m pytest -q tests/browser

# MkDocs has its own environment, with the program whose tables it documents.
docs: python
	@HOLDFAST_VENV=build/docs-env "$(PYTHON)" requirements/sync.py docs
	@NO_MKDOCS_2_WARNING=1 build/docs-env/bin/python -m mkdocs build --strict
	@echo "holdfast: open build/docs/index.html, or, for its search, serve build/docs:" \
		"python3 -m http.server --directory build/docs"

chromium:
	@test -n "$$HOLDFAST_BROWSER" || command -v chromium >/dev/null || { \
		test "$$(id -u)" = 0 && command -v apt-get >/dev/null \
		&& apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq \
			--no-install-recommends chromium >/dev/null; } || { \
		echo "holdfast: needs chromium (Debian: apt-get install chromium)," \
			"or HOLDFAST_BROWSER=/path/to/it" >&2; exit 1; }

# The peers' packages have their own environment; Fastify takes part if Node is installed.
# ARGS="--only holdfast fastify" adds arguments.
bench bench-full: python
	@HOLDFAST_VENV=build/bench "$(PYTHON)" requirements/sync.py bench
	@build/bench/bin/python bench/contest.py $(if $(filter bench-full,$@),--seconds 6 --warm-up 1 --rounds 4) $(ARGS)

bench-core: env-dev
	@for each in messages rules commit order live due; do \
		$(BIN)/python bench/core/$$each.py --json build/bench/core/$$each.json $(ARGS) || exit 1; \
	done

clean:
	@rm -rf .venv build dist htmlcov .coverage .coverage.* .hypothesis
	@rm -rf .mypy_cache .pytest_cache .ruff_cache
	@find . -name __pycache__ -type d -not -path './var/*' -prune -exec rm -rf {} +

python:
	@"$(PYTHON)" $(WILL_DO) || { \
		echo "holdfast: needs Python 3.11 to 3.14$(if $(PYTHON),; $(PYTHON) is none of them)" >&2; \
		exit 1; }

env-run env-dev: env-%: python
	@"$(PYTHON)" requirements/sync.py $*
