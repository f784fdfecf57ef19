# `make ask` sets up what asking needs (no torch) and asks the built-in model about a picture.
# `make test` sets up the rest and runs every check. Neither installs anything twice.
# `make docs` builds the documentation into site/; it is a part of `make test`.
# `make test-gpu` runs what needs an NVIDIA GPU, on a machine that has one.
# `make test-real` pulls the real model and compares it with transformers, on a machine with a network.

PYTHON ?= python3
VENV_OPTIONS ?=
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check

# Versions to keep to, e.g. `make test CONSTRAINTS=.ci/constraints.txt` as CI does.
CONSTRAINTS ?=
PINNED := $(if $(CONSTRAINTS),--constraint $(CONSTRAINTS))

# Where to get torch: PyPI's build for Linux brings gigabytes of CUDA, which nothing here needs.
# `make test TORCH_INDEX=https://download.pytorch.org/whl/cpu` gets the small one.
TORCH_INDEX ?=
TORCH_SOURCE := $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX))

# How many processes share the tests, e.g. `make test WORKERS=4`. Each takes a core and up to 2 GB.
WORKERS ?= 2

# Image handling is ours, so llama.cpp is built without its own.
export CMAKE_ARGS ?= -DLLAVA_BUILD=OFF

PICTURE := examples/bench.png
QUESTION := What is the code on the white star?

.PHONY: ask test test-gpu test-real lint types docs clean

ask: $(VENV)/.ask
	@echo 'uhd ask $(PICTURE) "$(QUESTION)"'
	@$(BIN)/uhd ask $(PICTURE) "$(QUESTION)"

# Bytecode is written first, also where PYTHONDONTWRITEBYTECODE is set: the tests start hundreds of processes.
test: lint types docs $(VENV)/.ros
	@$(BIN)/python -m compileall -q -x '/($(VENV)|site)/' .
	$(BIN)/pytest --numprocesses $(WORKERS) --dist loadfile

# On a PC: `.venv/bin/pip install -e ".[rtx]" "pycuda>=2026.1"`, or ".[gpu]", comes first.
# On a Jetson: `make test-gpu VENV_OPTIONS=--system-site-packages`, so that JetPack's own TensorRT
# is found, and `.venv/bin/pip install "pycuda>=2026.1"`. UHD_BUNDLE=DIR tests another bundle than uhd-tiny.
# At its end it prints a table to paste into an issue.
test-gpu: $(VENV)/.ask
	$(PIP) $(PINNED) pytest
	$(BIN)/python -m pytest tests/hardware -v -rs

# Pulls MiniCPM-V 4.6, or the model that UHD_MODEL names, and keeps it in build/test-real, or in UHD_MODELS:
# 3 GB to download, 15 GB on the disk and 10 GB of memory. At its end it prints a table to paste into an issue.
test-real: export UHD_MODEL := $(or $(UHD_MODEL),minicpm-v-4.6)
test-real: export UHD_MODELS := $(or $(UHD_MODELS),$(CURDIR)/build/test-real)
test-real: $(VENV)/.test
	$(BIN)/python -m pytest tests/real -v -rs --capture=no

lint: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.test
	$(BIN)/mypy --package uhd_edge
	$(BIN)/basedpyright

docs: $(VENV)/.test
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

$(BIN)/python:
	$(PYTHON) -m venv $(VENV_OPTIONS) $(VENV)

$(VENV)/.ask: pyproject.toml | $(BIN)/python
	@echo "Installing into $(VENV). Building llama.cpp takes 4 to 10 minutes the first time; pip keeps the result."
	$(PIP) $(PINNED) --editable .
	@touch $@

# torch first, so that no other package chooses one.
$(VENV)/.test: pyproject.toml $(CONSTRAINTS) | $(VENV)/.ask
	@echo "Installing torch, onnx, transformers and the checkers into $(VENV): about 1.5 GB with the CPU build of torch."
	$(PIP) $(PINNED) $(TORCH_SOURCE) torch==2.13.0
	$(PIP) $(PINNED) --editable ".[dev]"
	$(BIN)/python -m uhd_edge.export.language_model.converter
	@touch $@

# ROS 2, in an environment of its own; for machines that it has no wheels for, its tests are skipped.
$(VENV)/.ros: .ci/ros .ci/ros-requirements.txt $(wildcard ros/*/* ros/*/*/*) .ci/ros-constraints.txt | $(VENV)/.test
	.ci/ros $(VENV) $(if $(CONSTRAINTS),.ci/ros-constraints.txt)
	@touch $@

clean:
	rm -rf $(VENV) build site *.egg-info
