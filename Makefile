# make demo   sets everything up and answers a question about ragkit's own documentation
# make test   the test suite (sets itself up too)
# make check  format, lint, types, tests: what .ci/run runs

PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip --disable-pip-version-check
# Extra words for pip, such as where your CPU build of torch comes from (docs/install.md).
PIP_ARGS ?=
TIER   ?= default
ifeq ($(TIER),tiny)
export RAGKIT_GENERATE_MODEL := smollm2-135m-instruct
SIZE := 250 MB
else
SIZE := 650 MB
endif
QUESTION ?= Which formats can be read?

.PHONY: demo test check lint types format docs bench clean

demo: $(VENV)/.installed
	@echo "== Models: up to $(SIZE) to download, once; what is here already is only verified."
	$(BIN)/ragkit models pull
	@echo "== Preparing them for this machine: about 2 minutes, once."
	$(BIN)/ragkit models prepare
	@echo "== Reading the sample corpus, ragkit's own documentation."
	$(BIN)/ragkit ingest corpora/ragkit-docs
	@echo "== Asking: $(QUESTION)"
	$(BIN)/ragkit ask --corpus ragkit-docs "$(QUESTION)"

test: $(VENV)/.installed-dev
	$(BIN)/python -m pytest --cov=ragkit --cov-report=term

check: format-check lint types test

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .

format-check: $(VENV)/.installed-dev
	$(BIN)/ruff format --check .

types: $(VENV)/.installed-dev
	$(BIN)/mypy

format: $(VENV)/.installed-dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

docs: $(VENV)/.installed-dev
	$(BIN)/python -m docs.generate

bench: $(VENV)/.installed-dev
	$(BIN)/python benchmarks/run.py --write

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml constraints.txt | $(VENV)/bin/python
	@echo "== Installing. llama.cpp is compiled here the first time: about 3 minutes on 2 cores, quietly."
	$(PIP) install --quiet $(PIP_ARGS) -c constraints.txt -e '.[export]'
	@touch $@

$(VENV)/.installed-dev: pyproject.toml constraints.txt | $(VENV)/bin/python
	@echo "== Installing with what the tests need. llama.cpp is compiled the first time: about 3 minutes on 2 cores, quietly."
	$(PIP) install --quiet $(PIP_ARGS) -c constraints.txt -e '.[dev]'
	@touch $@ $(VENV)/.installed

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage build dist *.egg-info
