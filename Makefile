# GNU make. `make` alone lists the targets.

# The Python that makes .venv: 3.11 or newer.
PYTHON ?= python3

# Tests start hundreds of processes, which are not to compile our modules each.
unexport PYTHONDONTWRITEBYTECODE

VENV := .venv
BIN := $(VENV)/bin
PIP_FLAGS := -qq --disable-pip-version-check
PIP := $(BIN)/python -m pip $(PIP_FLAGS)
LOCK_FLAGS := --quiet --generate-hashes --allow-unsafe --strip-extras --no-emit-options \
	--no-emit-index-url --no-emit-find-links --no-emit-trusted-host

# Released clients of the wire protocols. Their dependencies do not go together, nor with ours: each
# has an environment of its own. docs/clients.md says that these versions work.
CLIENTS := .clients
TRITON := 'tritonclient[grpc,http]==2.73.0'
KSERVE := 'kserve==0.21.0'
MLFLOW := 'mlflow-skinny==3.17.2' pandas scipy scikit-learn skops cloudpickle
MCP := 'mcp==2.3.0'
MCP1 := 'mcp==1.30.0'
FASTMCP := 'fastmcp==4.2.3'
SCHEMATHESIS := 'schemathesis==4.32.5'
# Its own dependencies have lacked pyOpenSSL since sigstore 4.
SIGNING := 'model-signing==1.1.1' pyopenssl

# Releases of scikit-learn whose pickles are read, each with the numpy and the pandas of its time.
CORPUS := .corpus
RELEASES := 1.5 1.6 1.7 1.8 1.9
PACKAGES_1.5 := 'numpy<2' 'pandas<2.3'
PACKAGES_1.6 := 'numpy<2.1' 'pandas<2.3'
PACKAGES_1.7 := 'pandas<3'
PACKAGES_1.8 := 'pandas>=3'
PACKAGES_1.9 := 'pandas>=3' pyarrow

# The conformance suite of the Model Context Protocol, with the Node.js that it needs, from npm.
CONFORMANCE := .conformance
SUITE := @modelcontextprotocol/conformance@0.2.0-alpha.12 node@22

# What pytest is told besides: `make test PYTEST_ARGS=tests/test_x.py` runs a file in one process.
PYTEST_ARGS ?= -n 2 --dist worksteal

# What `make check` runs: the tests of what changes most and takes least, by their places, since
# collecting all tests takes longer than it may.
QUICK := $(addprefix tests/,test_contributing.py test_docs.py test_extending.py test_imports.py \
	test_new_column_type.py test_packaging.py) \
	$(addprefix tests/model_store/,plain/test_form_document.py test_column_types.py test_manifest.py \
	test_signature.py) \
	$(addprefix tests/quart_app/,middleware/test_limits.py serving/test_batcher.py serving/test_registry.py \
	test_config.py test_keys.py test_negotiation.py) \
	$(addprefix tests/quart_app/protocols/test_,form.py invocations.py native.py unique_keys.py upload.py \
	v1.py v2.py v2_binary.py)

# Interpreters with peers for `make bench`; bench/README.md says how they are made.
PEERS ?=

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:
.SUFFIXES:
.PHONY: help run test form-test process-test browser-test property-test fuzz-artifacts fuzz-forms fuzz-boosters fuzz-grpc coverage mutation-test screenshots bench clients client-test conformance-test corpus-test onnx-test guest-test check lint format types docs protos lock wheel clean

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | expand -t 16

run: $(VENV)/.installed ## install what is missing, then serve on HOST and PORT
	@$(BIN)/python -m quart_app serve

# Three, since many of them wait for something.
test: PYTEST_ARGS = -n 3 --dist worksteal
test: $(VENV)/.installed-test ## run the tests that need no browser and no programs beside them
	@$(BIN)/python -m pytest -m "not browser and not clients and not process and not property and not forms and not guests" $(PYTEST_ARGS)

form-test: $(VENV)/.installed-test ## go through every family of estimators: plain forms beside pipelines, files that are read
	@$(BIN)/python -m pytest -m "forms and not guests" $(PYTEST_ARGS)

process-test: $(VENV)/.installed-test ## run the tests of servers and commands in processes of their own, and of databases that fail
	@$(BIN)/python -m pytest -m "process and not guests" $(PYTEST_ARGS)

browser-test: $(VENV)/.installed-test $(VENV)/.installed-browser ## run the tests in Chromium
	@$(BIN)/python -m pytest -m browser $(PYTEST_ARGS)

# What is drawn: the same number draws the same.
SEED ?= $(shell od -An -N3 -tu4 /dev/urandom | tr -d ' ')

property-test: SEED := $(SEED)
property-test: $(VENV)/.installed-test ## compare 400 drawn pipelines and 50 imports with what is served; SEED=... repeats a run
	@echo "SEED=$(SEED)"
	@SEED=$(SEED) $(BIN)/python -m pytest tests/properties -m property -rP --show-capture=stdout $(PYTEST_ARGS)

# How long, in seconds.
SECONDS ?= 1200

fuzz-artifacts: $(VENV)/.installed-test ## change values in artifacts for SECONDS, and load and ask them in children
	@$(BIN)/python -m tests.fuzz $(SECONDS)

fuzz-forms: $(VENV)/.installed-test ## change values in plain forms for SECONDS, and read and ask them in children
	@$(BIN)/python -m tests.fuzz_forms $(SECONDS)

fuzz-boosters: $(VENV)/.installed-test $(VENV)/.installed-guests ## change values in boosters for SECONDS, and load and ask them in children
	@$(BIN)/python -m tests.fuzz_boosters $(SECONDS)

fuzz-grpc: $(VENV)/.installed-test ## send broken messages to a server of gRPC for SECONDS
	@$(BIN)/python -m tests.fuzz_grpc $(SECONDS)

# With the processes that the tests start. Not in CI: it takes twice the time of the tests.
coverage: PYTEST_ARGS = -n 3 --dist worksteal
coverage: $(VENV)/.installed-test $(VENV)/.installed-measure ## measure which lines and branches the tests reach; fails below the floor in pyproject.toml
	@$(BIN)/python -m coverage erase
	@$(BIN)/python -m coverage run -m pytest -m "not browser and not clients and not property and not forms and not guests" $(PYTEST_ARGS)
	@$(BIN)/python -m coverage combine --quiet
	@$(BIN)/python -m coverage report

# Which modules; docs/testing.md lists them.
MODULES ?=

mutation-test: $(VENV)/.installed-test $(VENV)/.installed-measure ## change the MODULES a little, again and again, and see whether a test fails
	@$(BIN)/python -m tests.mutation $(MODULES)

screenshots: $(VENV)/.installed-test $(VENV)/.installed-browser ## take the pictures of the documents in Chromium
	@$(BIN)/python -m tests.browser.screenshots docs/images

bench: $(VENV)/.installed-uvicorn ## measure beside PEERS and the bare servers, and write docs/performance.md
	@$(BIN)/python -m bench --peers $(PEERS) --markdown docs/performance.md

clients: $(foreach name,triton kserve mlflow mcp mcp1 fastmcp schemathesis signing,$(CLIENTS)/$(name)/.installed) ## install released clients into .clients (1 GB)

client-test: $(VENV)/.installed-test clients ## run these clients against a server
	@CLIENT_VENVS=$(CLIENTS) REQUIRE_CLIENTS=1 $(BIN)/python -m pytest -m clients

conformance-test: $(VENV)/.installed-test $(CONFORMANCE)/.installed ## run the conformance suite of the Model Context Protocol against a server (needs npm)
	@CONFORMANCE=$(CONFORMANCE) $(BIN)/python -m pytest tests/test_conformance.py

# The newest release reads as well: it has pyarrow, which the pins do not.
corpus-test: $(VENV)/.installed-test $(foreach release,$(RELEASES),$(CORPUS)/$(release)/.written) ## read what several releases of scikit-learn pickle (2 GB, half an hour)
	@$(BIN)/python -m tests.corpus read $(CORPUS)/*/pickles
	@$(CORPUS)/$(lastword $(RELEASES))/bin/python -m tests.corpus read \
		$(CORPUS)/$(lastword $(RELEASES))/pickles

onnx-test: $(VENV)/.installed-test $(VENV)/.installed-onnx ## install the extra onnx (33 MB) and run the tests of what is served by it
	@$(BIN)/python -m pytest tests/model_store/test_converted.py tests/quart_app/about/test_description.py tests/quart_app/test_kinds.py

guest-test: $(VENV)/.installed-test $(VENV)/.installed-guests ## install the extra guests (600 MB) and run the tests of models of other libraries
	@$(BIN)/python -m pytest -m guests $(PYTEST_ARGS)

check: lint types $(VENV)/.installed-test ## lint, types and the quick tests, in less than 90 seconds
	@$(BIN)/python -m pytest -m "not process and not clients and not forms" $(QUICK) $(PYTEST_ARGS)

lint: $(VENV)/.installed-lint ## check style, format and spelling
	@$(BIN)/python -m ruff check
	@$(BIN)/python -m ruff format --check
	@$(BIN)/python -m codespell_lib

format: $(VENV)/.installed-lint ## format the code, and fix what can be fixed
	@$(BIN)/python -m ruff check --fix
	@$(BIN)/python -m ruff format

types: $(VENV)/.installed-test $(VENV)/.installed-browser $(VENV)/.installed-docs $(VENV)/.installed-lint ## check types
	@$(BIN)/python -m mypy

docs: $(VENV)/.installed-docs ## build the documentation into site/, and check its links
	@NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --quiet
	@echo "$(CURDIR)/site/index.html"

# The messages of gRPC, from the .proto files beside them.
protos: $(VENV)/.installed-test ## write the descriptors of the messages of gRPC
	@$(BIN)/python -m grpc_tools.protoc -Iquart_app/protobuf --descriptor_set_out=quart_app/protobuf/descriptors.binpb quart_app/protobuf/*.proto

# pip-tools comes without the pins: a change of pyproject.toml may contradict the old ones. The extra
# tour is in the lock, since `make run` serves it; `deploy` leaves it out.
lock: $(BIN)/python ## write requirements.txt; UPGRADE=1 takes the newest versions
	@echo "Resolving requirements.txt"
	@$(PIP) install --editable '.[lock]'
	@CUSTOM_COMPILE_COMMAND="make lock" $(BIN)/python -m piptools compile $(LOCK_FLAGS) \
		$(if $(UPGRADE),--upgrade) --extra tour --output-file requirements.txt pyproject.toml

wheel: $(BIN)/python ## build the wheel into dist/
	@$(PIP) wheel --no-deps --wheel-dir dist .

clean: ## remove .venv, .clients, .conformance, .corpus, .mutants, dist, site and caches; instance/ with its models stays
	@rm -rf $(VENV) $(CLIENTS) $(CONFORMANCE) $(CORPUS) .mutants .coverage dist site .hypothesis .mypy_cache .pytest_cache .ruff_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/python:
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "quart-app needs Python 3.11 or newer, and '$(PYTHON)' is not: name one as in 'make run PYTHON=python3.12'." >&2; \
		exit 1; }
	@echo "Creating $(VENV)"
	@"$(PYTHON)" -m venv --clear $(VENV)

# The pins as constraints keep the versions that run the same in every target.
$(VENV)/.installed: requirements.txt pyproject.toml $(BIN)/python
	@echo "Installing quart-app into $(VENV)"
	@$(PIP) install --require-hashes --requirement requirements.txt
	@$(PIP) install --no-deps --editable .
	@sed -n 's/^\([A-Za-z0-9._-]*==[^ ;]*\).*/\1/p' requirements.txt > $(VENV)/constraints.txt
	@touch $@

$(VENV)/.installed-%: $(VENV)/.installed
	@echo "Installing what '$*' needs"
	@$(PIP) install --constraint $(VENV)/constraints.txt --editable '.[$*]'
	@touch $@

$(CORPUS)/%/.written: tests/corpus.py
	@echo "Installing scikit-learn $* into $(CORPUS)/$*"
	@"$(PYTHON)" -m venv --clear $(CORPUS)/$*
	@$(CORPUS)/$*/bin/python -m pip $(PIP_FLAGS) install 'scikit-learn==$*.*' $(PACKAGES_$*) msgspec
	@$(CORPUS)/$*/bin/python tests/corpus.py write $(CORPUS)/$*/pickles
	@touch $@

$(CONFORMANCE)/.installed: Makefile
	@echo "Installing $(SUITE) into $(CONFORMANCE)"
	@mkdir -p $(CONFORMANCE)
	@npm install --silent --no-audit --no-fund --no-save --prefix $(CONFORMANCE) $(SUITE)
	@touch $@

$(CLIENTS)/triton/.installed: CLIENT = $(TRITON)
$(CLIENTS)/kserve/.installed: CLIENT = $(KSERVE)
$(CLIENTS)/mlflow/.installed: CLIENT = $(MLFLOW)
$(CLIENTS)/mcp/.installed: CLIENT = $(MCP)
$(CLIENTS)/mcp1/.installed: CLIENT = $(MCP1)
$(CLIENTS)/fastmcp/.installed: CLIENT = $(FASTMCP)
$(CLIENTS)/schemathesis/.installed: CLIENT = $(SCHEMATHESIS)
$(CLIENTS)/signing/.installed: CLIENT = $(SIGNING)

$(CLIENTS)/%/.installed: Makefile
	@echo "Installing $(CLIENT) into $(CLIENTS)/$*"
	@"$(PYTHON)" -m venv --clear $(CLIENTS)/$*
	@$(CLIENTS)/$*/bin/python -m pip $(PIP_FLAGS) install $(CLIENT)
	@touch $@
