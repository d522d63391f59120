# Each target sets up what it needs on a fresh machine: Debian, Python 3.11 or later, no GPU.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: demo test extras lint docs bench clean

demo: $(READY)
	@rm -rf coresift-demo
	@$(BIN)/coresift demo -o coresift-demo

test: lint extras
	$(BIN)/python tools/cli_reference.py --check
	$(BIN)/python tools/method_pictures.py --check
	$(BIN)/pytest -q -n 2 --dist loadgroup --ignore tests/pytorch
	$(BIN)/pytest -q tests/pytorch  # apart: PyTorch's size would spoil tests of memory

# What some tests need and pip does not bring, installed where that is allowed: Chromium for pages,
# Fashion-MNIST for the tutorial. PyTorch is 5 GB, so only CI installs it.
extras: $(READY)
	@{ command -v chromium && test -d /usr/share/datasets/fashion-mnist; } > /dev/null || \
		test "$$(id -u)" != 0 || ! command -v apt-get > /dev/null || \
		{ apt-get update -qq && apt-get install -y -qq --no-install-recommends \
		chromium dataset-fashion-mnist; } || true
	@test -z "$$CORESIFT_ALL_TESTS" || $(BIN)/python -c 'import torch' 2> /dev/null || \
		timeout 300 $(BIN)/python -m pip install --quiet -e '.[torch]' || true
	@$(BIN)/python -c 'import torch' 2> /dev/null || \
		echo "no PyTorch (pip install torch): tests that need it are left out"
	@test -d /usr/share/datasets/fashion-mnist || \
		echo "no Fashion-MNIST (apt-get install dataset-fashion-mnist): the tutorial is left out"
	@command -v chromium > /dev/null || \
		{ echo "no Chromium (apt-get install chromium): these tests are left out:"; \
		$(BIN)/pytest --collect-only -q tests/reporting/test_browser.py | grep ::; \
		test -z "$$CORESIFT_ALL_TESTS"; }

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
