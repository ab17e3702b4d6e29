# Every target first makes the environment (.venv), where the last one is out of date; see tools/install.py.
PYTHON ?= python3
VENV ?= .venv
OPS ?=
RUN = $(VENV)/bin/python
SOURCES = $(shell find mmgradsplit tests tools configs -name '*.py' -o -name '*.json')
DEMO_CONFIG ?= configs/gradsplit/r18gn_4task_demo.py
DEMO_DIR ?= work_dirs/demo/$(shell date +%Y%m%d_%H%M%S)
DEMO_ARGS ?=
TEST_ARGS ?=

# Two processes of one thread each, as the tests are small; the one that is done first takes tests from the other.
PYTEST = OMP_NUM_THREADS=1 $(RUN) -m pytest
AT_ONCE = -n 2 --dist worksteal
# Exporting a graph leaves threads of autograd's behind, after which no forked process can train, as tests of two ranks do: these
# tests have a process of their own.
GRAPH_TESTS = tests/test_export/test_graph.py tests/test_inference/test_onnx.py
define run_tests
$(PYTEST) $(GRAPH_TESTS) --cov --cov-report=
$(PYTEST) $(AT_ONCE) --durations 25 --cov --cov-append --cov-report= $(addprefix --ignore=,$(GRAPH_TESTS)) $(TEST_ARGS)
endef

.DELETE_ON_ERROR:
.PHONY: help install demo test check docs format pins

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "%-8s %s\n", $$1, $$2 }' Makefile
	@echo 'PYTHON=python3.11 chooses the Python; DEMO_CONFIG=... the demo, such as $(basename $(DEMO_CONFIG))_long.py'
	@echo 'DEMO_ARGS=... goes to tools/train.py, TEST_ARGS=... to pytest'

install:  ## make the environment: pinned packages and the project; OPS=1 compiles mmcv's ops, OPS=0 goes back
	@$(PYTHON) tools/install.py --venv $(VENV) --ops "$(OPS)"

# PASSIVE: threads that wait leave their core to the loader workers, which share it here.
demo: install  ## draw the demo data set and train four tasks on it with GradSplit
	$(RUN) tools/dataset_converters/pedestrians.py --out data/pedestrians
	OMP_WAIT_POLICY=PASSIVE $(RUN) tools/train.py $(DEMO_CONFIG) --work-dir $(DEMO_DIR) $(DEMO_ARGS)

test: install  ## run all tests, or those that TEST_ARGS names
	$(if $(filter tests/%,$(TEST_ARGS)),$(PYTEST) $(AT_ONCE) $(TEST_ARGS),$(run_tests))

check: install .coverage  ## lint, format, imports between rooms, types, coverage of the tests
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	$(VENV)/bin/lint-imports --no-cache
	$(RUN) -m mypy
	$(RUN) -m coverage report --fail-under=85

# What `make test` measured, as long as no source is newer.
.coverage: $(SOURCES) | install
	$(run_tests)

docs: install  ## build the docs site into docs/_build/html; a warning is an error
	$(RUN) -m sphinx -W --keep-going --quiet docs docs/_build/html

format: install  ## format the sources
	$(RUN) -m ruff check --fix .
	$(RUN) -m ruff format .

pins: install  ## work requirements.txt out from requirements.in
	.cache/uv-*/bin/uv pip compile requirements.in --universal --python-version 3.10 --upgrade \
	  --no-annotate --custom-compile-command 'make pins' --quiet --output-file requirements.txt
