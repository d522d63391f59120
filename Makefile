# Each target sets up what it needs on a fresh machine: Debian, Python 3.11 or later, no GPU.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: demo test lint docs bench clean

demo: $(READY)
	@rm -rf coresift-demo
	@$(BIN)/coresift demo -o coresift-demo

test: lint
	$(BIN)/python tools/cli_reference.py --check
	$(BIN)/python tools/method_pictures.py --check
	$(BIN)/pytest -q -n 2 --dist loadgroup

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: $(READY)
	$(BIN)/python tools/cli_reference.py
	$(BIN)/python tools/method_pictures.py
	$(BIN)/mkdocs build

bench: $(READY)
	$(BIN)/python -m benchmarks

clean:
	rm -rf $(VENV) coresift-demo .mypy_cache .pytest_cache .ruff_cache .hypothesis

# Debian keeps venv in a package of its own
$(READY): pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || \
		{ rm -rf $(VENV); apt-get update -qq && apt-get install -y -qq python3-venv && \
		$(PYTHON) -m venv $(VENV); }
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	@touch $@
