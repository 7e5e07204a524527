# Everything runs in .venv, which the targets make themselves: Python >= 3.11, make and pip are enough.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
OUT ?= runs/demo
DATA ?= ../shared/data/mnist
MODEL ?= dcgan-mnist-2d

# One process for each core; tests/conftest.py says in which order, and which files run without the checks of types.
PYTEST := $(BIN)/python -m pytest -n auto --dist loadfile --no-loadscope-reorder

PIP_INSTALL := $(BIN)/python -m pip install -qq --disable-pip-version-check -c constraints.txt
# As pip does for packages that are not editable. Where Python must not write it (PYTHONDONTWRITEBYTECODE), every start would compile 230 files.
BYTECODE := $(BIN)/python -m compileall -q src/egbas || true
# pyright comes with its program in the wheel; this keeps it from looking for a newer one.
export PYRIGHT_PYTHON_IGNORE_WARNINGS := 1

.PHONY: demo test lint train bench clean
.DELETE_ON_ERROR:

demo: $(VENV)/demo.stamp ## the main job on an embedded model
	$(BIN)/egbas explore --model dcgan-mnist-2d --layer 1 --seed 7 --out $(OUT) --overwrite
	@echo
	@echo "Look at: $(OUT)/report.html"
	@echo "         $(OUT)/samples.png"

test: lint ## lint, then the whole test suite
	$(PYTEST)

lint: $(VENV)/dev.stamp ## ruff, pyright and the direction of imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright --pythonpath $(BIN)/python
	$(BIN)/lint-imports --no-logo

train: $(VENV)/demo.stamp ## make embedded weights again: make train MODEL=dcgan-mnist DATA=folder-of-mnist
	$(BIN)/egbas train $(MODEL) --data $(DATA)

bench: $(VENV)/bench.stamp ## speed beside rivals: make bench BENCH=--full
	$(BIN)/python -m benchmarks.run $(BENCH)

clean: ## remove the environment, caches and the demo's run
	rm -rf $(VENV) runs/demo build dist .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	find src tests -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "egbas needs Python >= 3.11; name one: make PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/demo.stamp: pyproject.toml constraints.txt | $(BIN)/python
	@echo "Setting up $(VENV); the first time takes some minutes ..."
	$(PIP_INSTALL) -e .
	@$(BYTECODE)
	@touch $@

# Without OMPL its figures are left out.
$(VENV)/bench.stamp: $(VENV)/demo.stamp
	$(PIP_INSTALL) -e '.[bench]' || echo "OMPL cannot be had; gbrrt_vs_ompl stays empty"
	@touch $@

$(VENV)/dev.stamp: pyproject.toml constraints.txt | $(BIN)/python
	@echo "Setting up $(VENV) with the tools for tests ..."
	$(PIP_INSTALL) -e '.[dev]'
	$(PIP_INSTALL) -e '.[ray]' || echo "Ray cannot be had; its tests skip themselves"
	@$(BYTECODE)
	@touch $@ $(VENV)/demo.stamp
