# Every target does the set-up: an environment in .venv, made again only when pyproject.toml changes.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.made
# Jupyter asks for a word of consent from root, who is the only user in many containers.
AS_ROOT := $(shell [ "$$(id -u)" != 0 ] || echo --allow-root)
# Where students work: a copy, which git does not see and which is never overwritten.
MY_NOTEBOOKS ?= my_notebooks

# Two processes side by side want one thread each, and start in half the time where Python may keep its bytecode.
QUICK := OMP_NUM_THREADS=1 PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest -q -p no:nbval -p no:cacheprovider \
  -m 'not slow and not data' --timeout 60 --durations 5 --durations-min 2

# Two targets at a time; each one's output stays together where this make can do that. Name the longest first.
TWO := $(MAKE) --no-print-directory -j2 $(if $(filter output-sync,$(.FEATURES)),-Otarget)

.PHONY: lab quick test lint types quick-core quick-lab fuzz env browser notebooks bench clean

lab: $(STAMP)  ## open the walkthrough in JupyterLab
	@$(BIN)/python -P lapnet_lab/open.py '$(MY_NOTEBOOKS)'
	@# A default URL, so that the address printed for a machine without a browser leads to the notebook too. Our folder of
	@# configuration: what a saved notebook keeps of its widgets (lapnet_lab/saving.py), and no question at the first
	@# start whether JupyterLab may tell its news.
	JUPYTER_CONFIG_PATH="$(CURDIR)/lapnet_lab/jupyter$${JUPYTER_CONFIG_PATH:+:$$JUPYTER_CONFIG_PATH}" \
	  $(BIN)/jupyter lab $(AS_ROOT) --notebook-dir='$(MY_NOTEBOOKS)' --LabApp.default_url=/lab/tree/00_start_here.ipynb

quick: $(STAMP)  ## after every edit: lint, types and the tests that take no training, in little over a minute on two cores
	@$(TWO) -k lint quick-lab types quick-core

# Processes that share the tests: one per core, four at most (tests/conftest.py); 0 is pytest alone.
WORKERS ?= auto
test: $(STAMP)  ## lint, types, every test
	@$(TWO) browser types lint
	OMP_NUM_THREADS=1 OMP_WAIT_POLICY=PASSIVE PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest -p no:nbval \
	  -n $(WORKERS) --dist worksteal --durations 20 --durations-min 5

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(STAMP)
	$(BIN)/pyright --pythonpath $(BIN)/python

quick-lab: $(STAMP)
	$(QUICK) tests/lab tests/lessons

quick-core: $(STAMP)
	$(QUICK) tests --ignore tests/lab --ignore tests/lessons --ignore tests/notebooks --ignore tests/browser

FUZZ ?= 5000
KILLS ?= 20
fuzz: $(STAMP)  ## readers on nasty files, and a training killed at random moments, for as long as one likes
	LAPNET_FUZZ=$(FUZZ) LAPNET_KILLS=$(KILLS) $(BIN)/python -m pytest --timeout 0 \
	  tests/core/test_fuzz_data.py tests/core/test_checkpoint.py

env: $(STAMP)

browser: $(STAMP)  ## a Chromium for the tests of the widgets
	@tests/browser/get_chromium.sh $(BIN)/python

notebooks: $(STAMP)  ## execute the notebooks again, after an edit of their .py
	$(BIN)/python notebooks/build.py

bench: $(STAMP) browser  ## timings beside what one would take instead, and of the explorer
	$(BIN)/lapnet bench
	$(BIN)/python benchmarks/bench_explorer.py

clean:
	rm -rf $(VENV)

$(STAMP): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo 'Python 3.11 or newer is needed; name it with: make $(MAKECMDGOALS) PYTHON=python3.12'; exit 1; }
	@echo 'Making the environment in $(VENV): about 6 GB, a few minutes. This happens once.'
	@# Debian's Python has no ensurepip; pip can then install itself into the new environment.
	$(PYTHON) -m venv $(VENV) 2>/dev/null || { $(PYTHON) -m venv --clear --without-pip $(VENV) && \
	  $(PYTHON) -m pip --quiet --python $(BIN)/python install pip; }
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet -e '.[lab,pretrained,test]'
	@touch $@
