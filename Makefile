# `make demo` and `make test` need Python 3.11 or newer, git and make; all else they install into .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
BENCHMARKS := list_functions_replay selection model_saturation search_lists sandboxes sandbox_loaded ten_thousand_tasks sygus_strings gnn
export INDUCE_RUNS__DIRECTORY ?= .induce/runs

.PHONY: help demo test test-vllm gnn smoke check install soak benchmarks pythons clean
.DEFAULT_GOAL := help

help:  ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

demo: $(VENV)/installed  ## solve the tasks under examples/ and print rules, programs and predictions
	@rm -f .induce/demo.sqlite*
	$(BIN)/induce solve examples/search --details
	$(BIN)/induce solve examples/arc --proposer recorded:examples/arc_gpt4.jsonl --details --out .induce/demo.sqlite
	$(BIN)/induce score .induce/demo.sqlite

test: check  ## run every check and every test, save the slow ones
	$(BIN)/pytest -n auto --dist loadgroup -m "not slow"
	$(MAKE) smoke

smoke: $(VENV)/developed  ## install the built wheel alone into a clean environment, and use it
	rm -rf $(VENV)-smoke build/smoke
	$(BIN)/python -m build --wheel --no-isolation --outdir build/smoke . > /dev/null
	$(BIN)/python -m venv $(VENV)-smoke
	$(VENV)-smoke/bin/pip install --quiet --disable-pip-version-check build/smoke/*.whl
	cp tests/smoke.py build/smoke/
	cd build/smoke && env -u PYTHONPATH ../../$(VENV)-smoke/bin/python -W error smoke.py
	rm -rf $(VENV)-smoke build/smoke

check: $(VENV)/developed  ## formatting, lint, types, floors
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

install: $(VENV)/developed  ## make .venv with the development tools, and the pre-commit hooks
	$(BIN)/pre-commit install

gnn: $(VENV)/developed  ## PyTorch and ONNX too, for the tests that skip without them: make gnn TORCH=torch==VERSION
	$(BIN)/pip install --quiet $(or $(TORCH),torch) --editable ".[gnn]"

test-vllm: $(VENV)/developed  ## the tests against a real vLLM: make test-vllm VLLM_PYTHON=… MODEL_DIR=…
	VLLM_PYTHON="$(VLLM_PYTHON)" MODEL_DIR="$(MODEL_DIR)" $(BIN)/pytest -m vllm -o timeout=1800

soak: $(VENV)/developed  ## the slow tests: ten thousand tasks, a hundred thousand programs, faults
	$(BIN)/pytest -m slow -o timeout=3600

benchmarks: $(VENV)/developed  ## measure against peers; writes benchmarks/results/
	for name in $(BENCHMARKS); do $(BIN)/python benchmarks/$$name.py || exit 1; done

pythons:  ## the tests under every other Python that PYTHONS names: make pythons PYTHONS="python3.12 python3.13"
	for python in $(PYTHONS); do $(MAKE) test PYTHON=$$python VENV=.venv-$$(basename $$python) || exit 1; done

clean:  ## remove what the other targets made
	rm -rf .venv* .induce build dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit("induce needs Python 3.11 or newer, and $(PYTHON) is " + sys.version.split()[0] + "; name another: make PYTHON=python3.12" if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --upgrade "pip>=25.1"

$(VENV)/installed: pyproject.toml | $(VENV)/bin/python
	$(BIN)/pip install --quiet --editable .
	touch $@

$(VENV)/developed: pyproject.toml | $(VENV)/bin/python
	$(BIN)/pip install --quiet --editable ".[all]" --group dev
	touch $@ $(VENV)/installed
