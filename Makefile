# TORCH_INDEX: an extra package index to take torch from. Where no NVIDIA driver is seen it is PyTorch's index of CPU
# builds, a few hundred MB instead of several GB; set it empty (`make TORCH_INDEX= …`) to take what PyPI offers.
VENV ?= .venv
PYTHON ?= python3
TORCH_INDEX ?= $(shell command -v nvidia-smi >/dev/null 2>&1 || echo https://download.pytorch.org/whl/cpu)
DEMO ?= demo
WORKERS ?= auto
BIN = $(VENV)/bin
# pip compiles on one core what it installs; COMPILE does so on all of them.
PIP = $(BIN)/python -m pip --disable-pip-version-check install --quiet --no-compile -c constraints.txt
COMPILE = $(BIN)/python -m compileall -qq -j 0 $(VENV)/lib || true

.PHONY: demo test lint docs clean

demo: $(VENV)/.installed
	$(BIN)/python -m crossover.demo $(DEMO)
	@echo "These commands need: . $(VENV)/bin/activate"

test: $(VENV)/.installed-dev
	$(BIN)/python -m pytest -n $(WORKERS) --durations=25 -rs

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

docs: $(VENV)/.installed-docs
	$(BIN)/python -m sphinx -q -W --keep-going -b html docs docs/_build/html

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

# An index that cannot be reached must not stop the installation: pip then takes torch from where it finds it.
$(VENV)/.torch: constraints.txt | $(VENV)/bin/python
	$(PIP) --retries 1 --timeout 15 $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX)) torch
	touch $@

$(VENV)/.installed: pyproject.toml constraints.txt $(VENV)/.torch
	$(PIP) -e .
	$(COMPILE)
	touch $@

$(VENV)/.installed-dev: pyproject.toml constraints.txt $(VENV)/.torch
	$(PIP) -e '.[dev,hub,onnx,speech,video]'
	$(COMPILE)
	touch $@ $(VENV)/.installed

$(VENV)/.installed-docs: $(VENV)/.installed-dev
	$(PIP) -e '.[docs]'
	touch $@

clean:
	rm -rf $(VENV) $(DEMO) docs/_build
