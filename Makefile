# Two commands, each doing all of its own set-up: `make demo` and `make test`.
# With a PyTorch you already have:  make demo VENV_FLAGS=--system-site-packages

PYTHON ?= python3
VENV ?= .venv
VENV_FLAGS ?=
BIN := $(VENV)/bin
SPHINX := $(BIN)/sphinx-build -W --keep-going -q -b html docs build/docs
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet

.PHONY: demo test docs bench figures clean

demo: $(VENV)/.installed
	$(BIN)/python examples/mlp_law.py

test: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(SPHINX)
	$(BIN)/pytest -n 2

docs: $(VENV)/.installed-dev
	$(SPHINX)
	@echo "build/docs/index.html"

bench: $(VENV)/.installed
	$(BIN)/python benchmarks/import_time.py
	$(BIN)/python benchmarks/recording.py
	$(BIN)/python benchmarks/forward.py

figures: $(VENV)/.installed-dev
	$(BIN)/python examples/seeing.py docs/figures

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV_FLAGS) $(VENV)

$(VENV)/.installed: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(PIP) install -c constraints.txt -e .
	touch $@

$(VENV)/.installed-dev: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(PIP) install -c constraints.txt -e '.[dev]'
	touch $@ $(VENV)/.installed

clean:
	rm -rf $(VENV) build dist
