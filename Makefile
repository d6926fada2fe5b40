# Every command of the project. `make` alone lists them; the first one that needs it sets up the environment.

VENV ?= .venv
PYTHON ?= python3
MONGO_PYTHON ?= python3.13
MONGO_VENV ?= .venv-mongo
ARGS ?=

BIN = $(VENV)/bin
INSTALLED = $(VENV)/.setup-done
WITH_DOCS = $(VENV)/.docs-done
AT_LEAST_3_11 = -c 'import sys; sys.exit(sys.version_info < (3, 11))'

.PHONY: help setup agp smoke test test-slow test-faults test-mongo lint types docs docs-check site bench docker clean

help:  ## list the targets
	@echo 'make <target> [ARGS="..."] [PYTHON=python3.12] [VENV=.venv]'
	@echo
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-12s %s\n", $$1, $$2 }' Makefile

setup: $(INSTALLED)  ## create the virtual environment and install requirements.txt

# Runs again only when requirements.txt changes or the environment is deleted.
$(INSTALLED): requirements.txt
	@command -v "$(BIN)/python" >/dev/null 2>&1 || command -v "$(PYTHON)" >/dev/null 2>&1 || { \
	  echo 'There is no "$(PYTHON)" here. Install Python 3.11 or newer, or name it: make PYTHON=/path/to/python3.11' >&2; \
	  exit 1; }
	@if ! "$(BIN)/python" -m pip --version >/dev/null 2>&1; then \
	  "$(PYTHON)" $(AT_LEAST_3_11) || { \
	    echo '"$(PYTHON)" is' "$$("$(PYTHON)" --version 2>&1)," \
	         'but this project needs Python 3.11 or newer. Name another one: make PYTHON=python3.11' >&2; \
	    exit 1; }; \
	  echo 'Creating the virtual environment $(VENV).'; \
	  "$(PYTHON)" -m venv "$(VENV)" || { \
	    echo 'Python could not create $(VENV). On Debian and Ubuntu, first run: apt install python3-venv' >&2; \
	    exit 1; }; \
	fi
	@"$(BIN)/python" $(AT_LEAST_3_11) || { \
	  echo '$(VENV) holds' "$$("$(BIN)/python" --version 2>&1)," \
	       'but this project needs Python 3.11 or newer. Delete $(VENV), then run: make PYTHON=python3.11' >&2; \
	  exit 1; }
	@echo 'Installing requirements.txt into $(VENV); the first time takes a few minutes.'
	@"$(BIN)/python" -m pip install --disable-pip-version-check -r requirements.txt
	@touch "$@"
	@echo 'Installed. Before commands of your own, once in each new shell: source $(VENV)/bin/activate'

agp: setup  ## train AGP on Top-K; change any setting with ARGS="with seed=3 env_args.n_agents=8"
	"$(BIN)/python" src/main.py --config=agp --env-config=topk $(ARGS)

smoke: setup  ## train AGP on Top-K for about a minute
	"$(BIN)/python" src/main.py --config=agp --env-config=topk with \
	  name=smoke t_max=20000 test_interval=10000 test_nepisode=32 log_interval=5000

test: setup  ## run the fast tests; choose some with ARGS="tests/modules -k qmix"
	"$(BIN)/python" -m pytest -n 2 $(ARGS)

test-slow: setup  ## run the tests that train for minutes
	"$(BIN)/python" -m pytest -n 2 -m slow $(ARGS)

test-faults: setup  ## kill, stop and fuzz runs; FAULT_SEED=<number> repeats the moments of a failure
	"$(BIN)/python" -m pytest -n 2 --dist loadgroup -m faults tests/faults $(ARGS)

# The server is a stand-in that speaks MongoDB's protocol, in a separate environment (Python 3.13 or newer), or,
# with TEST_MONGO_URL=mongodb://..., a real one; the tests drop the databases that they make there.
test-mongo: setup  ## run the tests of MongoDB over a real socket; MONGO_PYTHON=python3.13
	@[ -n "$$TEST_MONGO_URL" ] || [ -x "$(MONGO_VENV)/bin/python" ] || "$(MONGO_PYTHON)" -m venv "$(MONGO_VENV)" || { \
	  echo 'The stand-in needs Python 3.13 or newer. Name it: make test-mongo MONGO_PYTHON=/path/to/python3.13' >&2; \
	  exit 1; }
	@[ -n "$$TEST_MONGO_URL" ] || \
	  "$(MONGO_VENV)/bin/python" -m pip install --disable-pip-version-check -q 'mongoeco[wire]==4.11.0'
	@[ -n "$$TEST_MONGO_URL" ] || export TEST_MONGO_PYTHON="$(MONGO_VENV)/bin/python"; \
	  "$(BIN)/python" -m pytest tests/records/mongodb $(ARGS)

lint: setup  ## check style and formatting, shell scripts and the Dockerfile
	"$(BIN)/ruff" check .
	"$(BIN)/ruff" format --check .
	"$(BIN)/shellcheck" docker/*.sh .ci/run
	"$(BIN)/hadolint" docker/Dockerfile

types: setup  ## check types
	"$(BIN)/mypy"

docs: setup  ## rewrite the generated pages and pictures of docs/
	"$(BIN)/python" docs/generate.py
	"$(BIN)/python" docs/images/draw_architecture.py

docs-check: setup  ## fail if a generated page of docs/ is out of date
	"$(BIN)/python" docs/generate.py --check

# The extra `docs` of pyproject.toml, without the project itself: only what MkDocs needs goes into the environment.
$(WITH_DOCS): pyproject.toml | setup
	@echo 'Installing the extra `docs` into $(VENV).'
	@"$(BIN)/python" -c "import tomllib; print(*tomllib.load(open('pyproject.toml', 'rb'))['project']['optional-dependencies']['docs'], sep='\n')" \
	  | "$(BIN)/python" -m pip install --disable-pip-version-check -q -r /dev/stdin
	@touch "$@"

site: $(WITH_DOCS)  ## build the documentation as a site in site/; open site/index.html
	NO_MKDOCS_2_WARNING=1 "$(BIN)/python" -m mkdocs build --strict --quiet

bench: setup  ## measure environment steps per second, by phase
	"$(BIN)/python" benchmarks/throughput.py $(ARGS)

docker:  ## build the container image, in which docker/run.sh runs commands; ARGS=cu130 for CUDA
	docker/build.sh $(ARGS)

clean:  ## delete caches; results and the virtual environment stay
	rm -rf build dist site *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage
	find src tests docs benchmarks -type d -name __pycache__ -prune -exec rm -rf {} +
