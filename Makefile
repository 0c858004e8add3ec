# Volary. `make help` lists the targets.
.DEFAULT_GOAL := help
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
BIN := .venv/bin
export PYTHONDONTWRITEBYTECODE := 1

.PHONY: help venv demo demo-down test check unit cluster-test bench bench-odds bench-pull bench-rollback bench-optimise test-convert generate format constraints cluster-up \
  cluster-down test-thorough clean

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 16

venv: ## .venv with the pinned packages
	@.ci/venv

demo: venv ## the whole story on a real cluster, live in the terminal (KEEP=1 leaves it up)
	@$(BIN)/python -m tests.demo $(if $(KEEP),--keep) $(ARGS)

demo-down: venv ## end the cluster; nothing is left behind
	@$(BIN)/python -m tests.cluster down

test: check unit cluster-test ## everything .ci/run runs

check: venv ## lint, types, import contracts, generated files: seconds
	@$(BIN)/ruff format --check -q .
	@$(BIN)/ruff check -q .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo 2>&1 | tail -n 3
	@$(BIN)/volary crd --check
	@$(BIN)/python -m monitoring --check
	@$(BIN)/python manifests/argocd/generate.py --check
	@$(BIN)/python helm/schema.py --check

unit: venv ## fast tests: under a minute, no cluster
	@$(BIN)/python -m pytest -m "not cluster and not convert" -q -n auto

cluster-test: venv ## tests on the real cluster (KEEP=1 leaves it up)
	@$(if $(KEEP),,trap '$(BIN)/python -m tests.cluster down' EXIT;) $(BIN)/python -m pytest -m cluster -v $(ARGS)

test-convert: venv ## conversions of PyTorch and TensorFlow models, in environments of their own (8 GB, kept in ~/.cache/volary)
	@$(BIN)/python -m tests.convert $(ARGS)

test-thorough: venv ## many more examples, the odds of all kinds of traffic, a death at every write of every story (an hour)
	@HYPOTHESIS_PROFILE=thorough $(BIN)/python -m pytest -m "not cluster" --timeout 3600 tests/unit/planning tests/unit/bundle/test_graph_fuzz.py
	@$(BIN)/python -m tests.bench.rollback_odds --check > /dev/null
	@trap '$(BIN)/python -m tests.cluster down' EXIT; HYPOTHESIS_PROFILE=thorough $(BIN)/python -m pytest -m cluster tests/controller/test_crashes.py

bench-optimise: venv ## what each option of `volary optimise` is worth: sizes, latencies, side by side
	@$(BIN)/python -m tests.bench.optimise $(ARGS)

bench: venv ## every benchmark beside its rivals, one after the other (minutes)
	@for each in tests/bench/[a-z]*.py; do echo "== $$each"; $(BIN)/python -m tests.bench.$$(basename $$each .py); done

bench-rollback: venv ## how long a bad canary takes requests, on the test cluster; 500 idle objects (ARGS="--only errors")
	@$(BIN)/python -m tests.bench.rollback $(ARGS)
bench-odds: venv ## how often an equal canary is rolled back, how soon a bad one, beside other rules (ARGS=--write: into docs/)
	@$(BIN)/python -m tests.bench.rollback_odds $(ARGS)

bench-pull: venv ## pull beside s5cmd and KServe's storage initializer (ARGS="--mib 256 --rounds 3")
	@$(BIN)/python -m tests.bench.pull $(ARGS)

generate: venv ## CRD, chart copies, dashboards and reference pages from the types
	@$(BIN)/volary crd --write
	@$(BIN)/python -m monitoring --write
	@$(BIN)/python manifests/argocd/generate.py
	@$(BIN)/python helm/schema.py

format: venv ## ruff
	@$(BIN)/ruff format -q .
	@$(BIN)/ruff check -q --fix .

constraints: venv ## resolve pyproject.toml anew into constraints/*.txt, with hashes
	@echo pip | $(BIN)/uv pip compile -q --upgrade --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-annotate - -o constraints/pip.txt
	@for extra in dev operator agent server; do \
	  $(BIN)/uv pip compile -q --upgrade --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-annotate \
	    --extra $$extra $$([ $$extra = dev ] || echo -c constraints/dev.txt) pyproject.toml -o constraints/$$extra.txt; done

cluster-up: venv ## the one-node test cluster alone
	@$(BIN)/python -m tests.cluster up

cluster-down: demo-down ## the same as demo-down

clean: ## forget the virtual environment and caches in this folder
	@rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
