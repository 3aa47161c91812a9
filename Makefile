# make serve    set up, then translate at http://127.0.0.1:8000 with the models that ship
# make test     set up with the test tools, then lint, types and tests
# make help     the rest
#
# A fresh machine needs Python 3.11, 3.12 or 3.13 and make. Everything goes into .venv.

# Not taken from the environment: some shells and build tools export HOST for themselves.
HOST := 127.0.0.1
PORT := 8000
export NMT_MODELS ?= models

# The first of these that is 3.11-3.13 and can make a virtual environment. `python3` comes first because it is the one
# that the machine's owner chose; behind a closed network it is also the one for which a build of torch lies at hand.
PYTHON ?= python3 python3.13 python3.12 python3.11

# cpu takes torch from PyTorch's own index of CPU builds: the plain package brings several GB of CUDA libraries along.
# cuda takes the plain package.
ifndef TORCH
TORCH := $(shell nvidia-smi >/dev/null 2>&1 && echo cuda || echo cpu)
endif
TORCH_INDEX_cpu := --extra-index-url https://download.pytorch.org/whl/cpu
TORCH_PIN := $(shell grep '^torch==' requirements.lock)

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check

# A stamp names what was installed, so that nothing is installed twice and a changed lock is not missed.
INSTALLED := $(TORCH)-$(shell cat requirements.lock pyproject.toml nmt/native/build.py nmt/native/src/* | cksum | tr ' ' '-')
SERVE_STAMP := $(VENV)/.stamp-serve-$(INSTALLED)
TEST_STAMP := $(VENV)/.stamp-test-$(INSTALLED)

.DEFAULT_GOAL := help
.PHONY: help serve test test-browser reliability lint types format wheel clean

help: ## this list
	@grep -E '^[a-z-]+:.* ## ' $(firstword $(MAKEFILE_LIST)) | sed -E 's/^([a-z-]+):.* ## /\1\t/' | expand -t 15
	@echo
	@echo "variables: HOST=$(HOST) PORT=$(PORT) NMT_MODELS=$(NMT_MODELS) TORCH=$(TORCH) PYTHON=\"$(PYTHON)\" ARGS= (for pytest)"

serve: $(SERVE_STAMP) ## start the service (HOST=, PORT=)
	$(BIN)/nmt serve --host $(HOST) --port $(PORT)

test: lint types ## lint, types and tests
	$(BIN)/python -m pytest -q -n auto --dist loadfile $(ARGS)

test-browser: $(TEST_STAMP) ## the web page in an installed Chromium; fails where there is none
	BROWSER_TESTS=required $(BIN)/python -m pytest -q -m browser tests/browser $(ARGS)

reliability: $(TEST_STAMP) ## what the service promises under load and in trouble, measured: about an hour (ARGS=--quick)
	$(BIN)/python -m benchmarks.reliability $(ARGS)

lint: $(TEST_STAMP) ## ruff: rules and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(TEST_STAMP) ## mypy, strict
	$(BIN)/mypy

format: $(TEST_STAMP) ## let ruff mend what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

wheel: $(SERVE_STAMP) ## build dist/*.whl (code only: models do not travel in it)
	$(PIP) wheel --no-deps --wheel-dir dist .

clean: ## back to a fresh clone; models and runs stay
	rm -rf $(VENV) build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find nmt app tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +

$(SERVE_STAMP):
	@$(make_venv)
	@$(drop_other_torch)
	$(install_torch)
	$(PIP) install --constraint requirements.lock --editable .
	@rm -f $(VENV)/.stamp-* && touch $@

$(TEST_STAMP):
	@$(make_venv)
	@$(drop_other_torch)
	$(install_torch)
	$(PIP) install --constraint requirements.lock --editable '.[dev]'
	@rm -f $(VENV)/.stamp-* && touch $(SERVE_STAMP) $@

# A half-made environment, or one whose Python has gone, is made again over the old one.
define make_venv
$(PIP) --version >/dev/null 2>&1 && exit; \
for python in $(PYTHON); do \
    version=$$($$python -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null) || continue; \
    case $$version in 3.11|3.12|3.13) ;; *) seen="$$seen $$python is $$version;"; continue;; esac; \
    $$python -c 'import ensurepip, venv' 2>/dev/null || { seen="$$seen $$python has no venv: install python$$version-venv (or python3-venv);"; continue; }; \
    echo "$$python -m venv $(VENV)  (Python $$version)"; \
    exec $$python -m venv $(VENV); \
done; \
echo "error: no usable Python 3.11, 3.12 or 3.13 among: $(PYTHON).$$seen" >&2; \
echo "       Name one with: make PYTHON=/path/to/python3.12 $(MAKECMDGOALS)" >&2; \
exit 1
endef

# pip takes a CPU build for the same version as the CUDA build, so a change from one to the other must take it out first.
define drop_other_torch
for stamp in $(VENV)/.stamp-*; do \
    case $$stamp in *'*'|*-$(TORCH)-*) ;; *) $(PIP) uninstall --yes torch; break;; esac; \
done
endef

# Alone and without its dependencies: only this one name is asked of the extra index. Where that index cannot be
# reached, pip says so and goes on within seconds.
install_torch = $(PIP) install --no-deps --retries 1 --timeout 10 $(TORCH_INDEX_$(TORCH)) $(TORCH_PIN)
