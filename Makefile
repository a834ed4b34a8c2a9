# People and CI use the same targets. `make` alone lists them.
PYTHON ?= python3
VENV := .venv
ORACLE := .venv-oracle
BIN := $(VENV)/bin
PIP := -m pip install --quiet --disable-pip-version-check
HOST ?= 127.0.0.1
PORT ?= 11438
VISION_PORT ?= 11435
URL ?=
VALID_DAYS ?= 14
# Test processes: more than two cores need, since many tests wait.
JOBS ?= 4
# What looks at the page, besides the browser; from npm, where there is one.
PAGE_TOOLS := .cache/page-tools
# It demands other versions than the other clients, so it has a place of its own.
PROXY := .cache/litellm
CODE := hailo_common hailo_florence hailo_vision training tools tests fleet

.DEFAULT_GOAL := help
.PHONY: help venv run bench-peers test page-test page-picture page-tools client-tools campaign sweep container-test deb deb-llama deb-check machine-test lint format bench oracle-venv oracle-test golden train train-vision evaluate export-hailo docs repo fleet-test clean

help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-15s %s\n", $$1, $$2}'
	@echo
	@echo "  make run HOST=$(HOST) VISION_PORT=$(VISION_PORT) PORT=$(PORT): where hailo-vision and hailo-florence listen"
	@echo "  PYTHON=$(PYTHON): what the environments are built with; JOBS=$(JOBS): processes of make test"

venv: $(VENV)/.done ## Build .venv with everything the services and the tests need

$(VENV)/.done: $(VENV)/.services setup.py tests/constraints.txt
	@echo "Adding what the tests need to $(VENV) (once, about a minute) ..."
	@$(BIN)/python $(PIP) -c tests/constraints.txt -e '.[dev,clients]'
	@touch $@

$(VENV)/.services: setup.py tests/constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed; name one with: make PYTHON=python3.13 venv" >&2; exit 1; }
	@echo "Building $(VENV) with what the services need (once, less than a minute) ..."
	@$(PYTHON) -m venv $(VENV) || \
	  { echo "Could not make a virtual environment. On Debian: sudo apt install python3-venv" >&2; exit 1; }
	@$(BIN)/python -m pip install --disable-pip-version-check -c tests/constraints.txt -e '.[constrain,docs,gguf,quantise]' | \
	  sed -un 's/^\(Collecting\|Installing\|Successfully\) \([^ ]*\).*/  \1 \2/p'
	@$(BIN)/python -c 'import hailo_florence.service, hailo_vision.service'
	@touch $@

run: $(VENV)/.services ## Start both services on their demo models, with a curl for each to paste
	@$(BIN)/python -m tools.run_demo --host $(HOST) --vision-port $(VISION_PORT) --florence-port $(PORT)

page-test: venv page-tools ## The page in Debian's Chromium, against the real services (pictures: .cache/page-shots)
	@$(BIN)/python -m pytest -n 2 --dist worksteal tests/page tests/hailo_common/web/test_page.py

page-picture: venv ## The pictures of the page in the README and docs/page.md, anew
	@HAILO_PAGE_PICTURE=1 $(BIN)/python -m pytest -q tests/page/test_picture.py -k "readme"

page-tools: $(PAGE_TOOLS)/.done ## axe-core and TypeScript for the page's tests (npm; without one they skip)

$(PAGE_TOOLS)/.done: Makefile
	@mkdir -p $(PAGE_TOOLS)
	@if command -v npm >/dev/null; then \
	  npm install --silent --no-save --no-audit --no-fund --prefix $(PAGE_TOOLS) axe-core@4.14.1 typescript@7.0.2 && touch $@; \
	else echo "There is no npm here: the page is not checked with axe-core and TypeScript."; fi

client-tools: $(PROXY)/.done ## LiteLLM's proxy for tests/clients, in an environment of its own (740 MB)

$(PROXY)/.done: Makefile tests/clients/proxy-constraints.txt
	@echo "Building $(PROXY) with LiteLLM's proxy (once, two minutes) ..."
	@$(PYTHON) -m venv $(PROXY)
	@$(PROXY)/bin/python $(PIP) -c tests/clients/proxy-constraints.txt 'litellm[proxy]==1.106.2'
	@touch $@

test: venv page-tools ## Run the tests (no root, no PyTorch)
	@$(BIN)/python -m pytest -n $(JOBS) --dist worksteal -m "not oracle and not fleet"

campaign: venv ## Every fault of the Hailo chip at every call, on the simulator (an hour)
	@HAILO_CAMPAIGN=full $(BIN)/python -m pytest -q tests/hailo_florence/npu/test_faults.py tests/hailo_vision/npu/test_faults.py tests/hailo_vision/npu/test_chip.py tests/hailo_vision/npu/test_patience.py

sweep: venv ## A fault at every system call of fetch, render and set (strace; a few minutes)
	@HAILO_SWEEP=all $(BIN)/python -m pytest -q -s tests/hailo_common/config/test_sweep.py tests/hailo_common/models/test_sweep.py

container-test: ## Run the tests on Debian 13 with Debian's packages (root, mmdebstrap)
	@tests/container.sh

deb: ## Build the Debian packages of the last commit into dist/ (root, mmdebstrap)
	@packaging/build-deb.sh

deb-llama: ## Compile hailo-llama, once for each version of it; make deb puts it beside the others (root, mmdebstrap)
	@packaging/build-llama.sh

deb-check: ## lintian, a second build that must come out the same, piuparts and autopkgtest of dist/ (root)
	@packaging/check-deb.sh

machine-test: venv $(if $(filter short,$(HAILO_MACHINE_TEST)),,oracle-venv) ## Boot a Debian 13 and drive the packages in it (root, mmdebstrap, systemd-nspawn)
	@HAILO_MACHINE_TEST=$${HAILO_MACHINE_TEST:-full} $(BIN)/python -m pytest -s tests/machine

lint: venv ## ruff and mypy --strict
	@$(BIN)/ruff check $(CODE) setup.py packaging
	@$(BIN)/ruff format --check $(CODE) setup.py packaging
	@$(BIN)/mypy $(CODE)

format: venv ## Format the code
	@$(BIN)/ruff check --fix $(CODE) setup.py packaging
	@$(BIN)/ruff format $(CODE) setup.py packaging

bench-peers: venv ## hailo-vision beside llama.cpp's own server, on random weights of 2B size (QUICK=1: one round)
	@OMP_NUM_THREADS=1 $(BIN)/python -m tests.bench.bench_peers

bench: venv oracle-venv ## Print the measured ratios (needs PyTorch for one of them)
	@$(ORACLE)/bin/python -m tests.bench

oracle-venv: $(ORACLE)/.done ## Build .venv-oracle: PyTorch and transformers, for oracle-test, bench and training

$(ORACLE)/.done: setup.py tests/constraints.txt training/requirements.txt
	@echo "Building $(ORACLE) (PyTorch: a few minutes) ..."
	@$(PYTHON) -m venv $(ORACLE)
	@$(ORACLE)/bin/python $(PIP) torch==2.13.0
	@$(ORACLE)/bin/python $(PIP) -c tests/constraints.txt -r training/requirements.txt -e '.[dev]'
	@touch $@

oracle-test: oracle-venv ## Compare the pipelines with transformers, token for token
	@OMP_NUM_THREADS=1 $(ORACLE)/bin/python -m pytest -n 2 --dist worksteal -m oracle

golden: oracle-venv ## Make the golden files of the tests anew
	@$(ORACLE)/bin/python -m tests.oracle.make_golden

train: oracle-venv ## Train the demo model of hailo-florence anew (about two hours on two cores)
	@$(ORACLE)/bin/python -m training.florence.train_florence --out .cache/florence

train-vision: oracle-venv ## Train the demo model of hailo-vision anew (about two hours on two cores)
	@$(ORACLE)/bin/python -m training.chat.train_qwen --out .cache/qwen

evaluate: oracle-venv ## Measure the demo models and update the tables in docs/
	@$(ORACLE)/bin/python -m training.florence.evaluate_florence --out docs/demo-model.md
	@$(ORACLE)/bin/python -m training.chat.evaluate_qwen --out docs/demo-model-vision.md

export-hailo: oracle-venv ## Write what Hailo's compiler needs: CHECKPOINT= OUT= SIDE= [PICTURES=] [ROOM=] [MORE=]
	@test -n "$(CHECKPOINT)" -a -n "$(OUT)" -a -n "$(SIDE)" || \
	  { echo "Name CHECKPOINT, OUT and SIDE, as docs/hailo-compile.md says" >&2; exit 2; }
	@$(ORACLE)/bin/python -m tools.hef_export "$(CHECKPOINT)" "$(OUT)" --side "$(SIDE)" \
	  $(if $(PICTURES),--pictures "$(PICTURES)") $(if $(ROOM),--prompt-tokens "$(ROOM)") $(MORE)

docs: venv ## Write conf/, docs/configuration.md, docs/man and completions/ from the tables of keys and commands
	@$(BIN)/python -m tools.docs.configuration
	@$(BIN)/python -m tools.docs.manpages
	@$(BIN)/register-python-argcomplete --shell bash hailo-ctl >completions/hailo-ctl

repo: ## Sign what lies in dist/ into the apt repository dist/repo (URL=http://...; docs/fleet.md)
	@ls dist/*.deb >/dev/null 2>&1 || { echo "There is no package in dist/: make deb first" >&2; exit 1; }
	@$(PYTHON) -B -m fleet.repository --url "$(URL)" --valid-days $(VALID_DAYS) publish dist/*.deb

fleet-test: venv ## Test repository, gateway and a whole fleet on machines of Debian 13 (root, mmdebstrap)
	@$(BIN)/python -m pytest -m fleet tests/fleet

clean: ## Remove what the targets made
	rm -rf $(VENV) $(ORACLE) .cache build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
