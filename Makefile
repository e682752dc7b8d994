# Two commands: `make demo` runs the main job, `make test` passes the tests. Both set everything up first.
# `make test-long` passes what `make test` leaves out because it rightly takes long: tests with the mark `long`.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.ready
# Twice as many as there are cores, at most eight: tests wait as often as they compute.
WORKERS ?= $(shell $(PYTHON) -c 'import os; print(min(8, 2 * len(os.sched_getaffinity(0))))')

# Compiled code is kept within the environment: the source tree stays clean, and no command compiles it all once more.
unexport PYTHONDONTWRITEBYTECODE
export PYTHONPYCACHEPREFIX := $(abspath $(VENV))/bytecode

.PHONY: demo test test-long test-real testbed check bench docs clean

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Continuo needs Python 3.11 or newer; set PYTHON=python3.12 or the like"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing Continuo into $(VENV) ..."
	@$(BIN)/python -m pip install -q --disable-pip-version-check uv
	@$(BIN)/python -m uv pip install -q --python $(BIN)/python -c constraints.txt -e '.[embedded,server,broker,edge,hub,agent,solver,kafka,tracing,dev]'
	@touch $@

demo: $(STAMP)
	@$(BIN)/continuo demo

# In the order that tests/conftest.py gives, the longest file first: nobody waits for a last one.
PYTEST = $(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder

test: $(STAMP)
	@$(PYTEST) -m "not long"

test-long: $(STAMP)
	@$(PYTEST) -m long

# The programs of real clusters, into ~/.cache/continuo; `make testbed WITHOUT="liqo spire"` leaves parts out.
testbed: $(STAMP)
	@$(BIN)/continuo testbed build $(PARTS) $(addprefix --without ,$(WITHOUT))

# The same tests against real engines: all that this machine can run, and a sentence for what it cannot. `SUITES=servers`
# runs some of servers, beds, skew, cluster-api, liqo, broker, edge, sensors, boards, identity, kafka and crossplane.
test-real: testbed
	@cd tests && $(abspath $(BIN))/python -m real $(SUITES)

check: $(STAMP)
	@$(BIN)/ruff format --check src tests benchmarks
	@$(BIN)/ruff check src tests benchmarks
	@$(BIN)/mypy
	@$(BIN)/lint-imports

docs: $(STAMP)
	@$(BIN)/python -m continuo.resources.docs
	@$(BIN)/python -m continuo.server.catalog_docs
	@$(BIN)/python -m continuo.server.scheduler.reference
	@$(BIN)/python -m continuo.telemetry.files
	@$(BIN)/python -m continuo.cli.chart charts/continuo/crds

bench: $(STAMP)
	@$(BIN)/python -m benchmarks

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis
