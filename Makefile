# Two commands on a fresh machine with Python 3.11+ and make: `make reproduce-paper PAPER=ottt` and `make test`.

PYTHON ?= python3
VENV ?= .venv
PAPER ?=
SCALE ?= laptop
DATA_ROOT ?=
BUDGET ?=
WORKLOAD ?=
ONLY ?=

# The command runs the code of this folder, also if VENV was made for another checkout.
SPIKECOST = $(VENV)/bin/python -m spikecost
READY = $(VENV)/.ready
quoted = '$(subst ','\'',$(1))'
# An option with the value of a variable, unchanged: a $ in the value is not expanded.
given = $(if $(value $(2)),$(1) $(call quoted,$(value $(2))))
# After Ctrl-C the run prints what is kept, and make ends without a message of its own: it gets the signal while it waits here.
STOPPABLE = { code=$$?; [ $$code -eq 130 ] || exit $$code; kill -INT $$PPID; sleep 1; }

.DEFAULT_GOAL := help
.PHONY: help setup reproduce-paper test test-slow test-full cluster-check lint report benchmark speed gpu-check curves zoo clean

help: ## print this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-18s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo "  options: PAPER=ottt (unset: every paper)  SCALE=smoke|laptop|night|full  DATA_ROOT=folder with the data sets"
	@echo "           BUDGET=25m (of reproduce-paper; unset: to the end; of gpu-check; unset: 450s)"
	@echo "           WORKLOAD=vgg-sws/cifar10/T4 (of speed; unset: every workload)  ONLY=resnet18 (of zoo: a part of names)"

setup: $(READY) ## make the virtual environment and install everything (5.5 GB, minutes)

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed, this is " + sys.version)'
	@test -x $(VENV)/bin/python || $(PYTHON) -m venv $(VENV)
	@echo "installing into $(VENV) (about 5.5 GB, once) ..."
	@$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check \
	  --constraint constraints.txt --editable '.[frameworks,data,dev]'
	@touch $@

reproduce-paper: $(READY) ## measure, judge and draw a paper's claims
	@trap : INT; $(SPIKECOST) run $(call given,,PAPER) $(call given,--scale,SCALE) $(call given,--data-root,DATA_ROOT) \
	  $(call given,--budget,BUDGET) || $(STOPPABLE)

PARALLEL = --numprocesses auto --dist loadfile --no-loadscope-reorder

test: $(READY) ## run the tests (minutes); the slow ones: test-slow
	@OMP_NUM_THREADS=1 $(VENV)/bin/python -m pytest $(PARALLEL)

test-slow: $(READY) ## run the tests that `make test` leaves out because they take long (minutes)
	@OMP_NUM_THREADS=1 $(VENV)/bin/python -m pytest -m 'slow and not full' $(PARALLEL)

test-full: $(READY) ## run every combination of algorithm, backend and network (hours); recorded in tests/
	@OMP_NUM_THREADS=1 $(VENV)/bin/python -m tests.full $(PARALLEL)

cluster-check: $(READY) ## a plan through a real SLURM on this machine (root on Debian, minutes); see docs/cluster.md
	@tests/cluster/one_node.sh $(VENV)/bin/python

lint: $(READY) ## lint, formatting and types
	@$(VENV)/bin/ruff check . && $(VENV)/bin/ruff format --check . && $(VENV)/bin/mypy

report: $(READY) ## judge and draw again from what is in results/
	@$(SPIKECOST) report

benchmark: $(READY) ## time small training steps and kernels with pytest-benchmark (minutes); see also speed
	@$(VENV)/bin/python -m pytest tests/benchmarks --benchmark-only

speed: $(READY) ## time training steps in turns and judge the goals of the native backend (an hour)
	@trap : INT; $(SPIKECOST) speed $(call given,--workload,WORKLOAD) || $(STOPPABLE)

gpu-check: $(READY) ## check and measure in under 8 minutes what a GPU decides; without one, what needs none
	@trap : INT; $(SPIKECOST) gpu-check $(call given,--data-root,DATA_ROOT) $(call given,--budget,BUDGET) || $(STOPPABLE)

zoo: $(READY) ## measure and check SpikingJelly's model zoo and snnTorch's tutorial networks; write docs/zoo.md (hours)
	@trap : INT; $(SPIKECOST) zoo $(call given,--only,ONLY) || $(STOPPABLE)

curves: $(READY) ## train both example networks on Fashion-MNIST by five algorithms and draw them (minutes)
	@for name in spikingjelly snntorch; do $(SPIKECOST) train examples/fashion_mnist_$$name || exit; done

clean: ## remove the virtual environment and caches (results stay)
	@rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .benchmarks results/scratch *.egg-info
