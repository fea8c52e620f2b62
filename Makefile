# Two commands on a fresh machine: `make demo` and `make test`. They need Python 3.10-3.12 with pip, and nothing else.
#
#   make demo TORCH_INDEX=https://download.pytorch.org/whl/cpu    # on Linux without a GPU: the small CPU build of torch
#   make test PYTHON=python3.12                                   # another Python

PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python
TORCH_INDEX ?=
READER ?= builtin
PIP := $(PY) -m pip --disable-pip-version-check --quiet

.PHONY: demo test test-spark check docs ui bench torture sbom clean

# Installed once per change of what is to be installed; torch first, so that nothing else chooses a build of it.
$(VENV)/.ready: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] < (3, 13))' || \
		{ echo "docqa needs Python 3.10, 3.11 or 3.12; name one with PYTHON=..."; exit 2; }
	test -x $(PY) || $(PYTHON) -m venv $(VENV)
	$(PIP) install $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX)) "$$(grep '^torch==' constraints.txt)"
	$(PIP) install --constraint constraints.txt --editable '.[test]'
	touch $@

demo: $(VENV)/.ready
	$(PY) examples/demo.py

# The page and its service together, over the folder .home, with the built-in models.
ui: $(VENV)/.ready
	$(VENV)/bin/docqa ui --home .home --reader $(READER)

bench: $(VENV)/.ready
	$(PIP) install nltk tantivy bm25s
	for name in killing indexing opening asking reading serving; do $(PY) -m benchmarks.$$name || exit 1; done

# The long tests of what docqa promises, each for MINUTES, on this machine alone: 1,000 kills, disks that fail at every call,
# mutated files of every format, and filters of keys. The mutations continue where the last run ended.
MINUTES ?= 30
TORTURE ?= .torture

torture: $(VENV)/.ready
	mkdir -p $(TORTURE)
	$(PY) -m benchmarks.killing --kills 1000 --minutes $(MINUTES)
	$(PY) -m benchmarks.failing_disk --minutes $(MINUTES) --seed $$(date +%s)
	$(PY) -m benchmarks.mutations --minutes $(MINUTES) --state $(TORTURE)/mutations
	$(PY) -m benchmarks.key_filters --draws $$(($(MINUTES) * 1000))

# Two processes: most of the time is spent in child processes, browsers and waiting.
test: $(VENV)/.ready
	$(PY) -m pytest -n 2 --dist loadfile

# On a Spark of all cores here. Brings pyspark (450 MB); needs Java 17. `make test` skips these where pyspark is not installed.
test-spark: $(VENV)/.ready
	$(PIP) install --constraint constraints.txt --editable '.[test,spark]'
	DOCQA_SPARK_TESTS=1 $(PY) -m pytest tests/qa_pipeline/spark

# What a commit must pass: format, lint, types, spelling.
check: $(VENV)/.ready
	$(PY) -m ruff format --check .
	$(PY) -m ruff check .
	$(PY) -m mypy
	$(PY) -m codespell_lib

# What is installed, as a CycloneDX SBOM: .sbom/docqa.cdx.json. cyclonedx-py reads the environment from outside it.
sbom: $(VENV)/.ready
	$(PYTHON) -m venv .sbom/venv && .sbom/venv/bin/pip install --quiet 'cyclonedx-bom==7.5.0'
	.sbom/venv/bin/python -m cyclonedx_py environment --pyproject pyproject.toml --output-reproducible \
		--output-file .sbom/docqa.cdx.json $(PY)

# The site of docs/ into .site/; a link or anchor that leads nowhere stops it (not with --quiet, which
# hides warnings from --strict too). Needs no docqa, and no network once installed.
$(VENV)/.docs-ready: constraints.txt
	test -x $(PY) || $(PYTHON) -m venv $(VENV)
	$(PIP) install --constraint constraints.txt "$$(grep '^mkdocs-material==' constraints.txt)"
	touch $@

docs: $(VENV)/.docs-ready
	NO_MKDOCS_2_WARNING=1 $(PY) -m mkdocs build --strict

clean:
	rm -rf $(VENV) .demo .site
