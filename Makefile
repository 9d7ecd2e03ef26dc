# make demo     create .venv, install, train a classifier of handwritten digits (about a minute)
# make test     the same for the tests: lint, format, types, layers, tests
# make docs     build the documentation in docs/_build
# make bench    measure Rushlight beside its peers, the short comparisons (about an hour; docs/benchmarks.md)
# make lessons  run the notebooks in lessons/ and keep what they show
# make clean    remove .venv and what the tools left behind
#
# A stamp file in .venv says what was installed from; pip runs again only when that changed.

PYTHON ?= python3
PIP = .venv/bin/python -m pip --disable-pip-version-check install --quiet -c constraints.txt

.PHONY: demo test docs lessons bench clean

demo: .venv/installed
	.venv/bin/rushlight demo

test: .venv/installed-dev
	.venv/bin/ruff check
	.venv/bin/ruff format --check
	.venv/bin/mypy
	.venv/bin/lint-imports
	.venv/bin/python -m pytest --numprocesses auto --dist loadfile

docs: .venv/installed-dev
	.venv/bin/python -m sphinx -q -W --keep-going -b html docs docs/_build
	@echo "The documentation: docs/_build/index.html"

lessons: .venv/installed-dev
	.venv/bin/python lessons/execute.py

# Each goes on where it was stopped. The long ones, time_to_accuracy.py and language_model_peers.py, are run by hand.
bench: .venv/installed-dev
	.venv/bin/python benchmarks/start_up.py --peers
	.venv/bin/python benchmarks/loop_overhead.py --peers
	.venv/bin/python benchmarks/first_batch.py
	.venv/bin/python benchmarks/activation_maps.py
	.venv/bin/python benchmarks/transfer.py --peers
	.venv/bin/python benchmarks/growth.py --most-tokens 100000000
	.venv/bin/python benchmarks/write_page.py

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "Rushlight needs Python 3.11 or newer; name one with: make PYTHON=python3.12"; exit 1; }
	$(PYTHON) -m venv .venv

.venv/installed: pyproject.toml constraints.txt | .venv/bin/python
	@echo "Installing Rushlight into .venv (the first time this takes some minutes)"
	$(PIP) -e .
	@touch $@

.venv/installed-dev: .venv/installed
	$(PIP) -e '.[dev]'
	@touch $@

clean:
	rm -rf .venv docs/_build .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
