# Everything starts from a fresh clone with Python 3.11 or newer: the first verb sets up .venv.
PYTHON ?= python3
VENV   ?= .venv
BIN     = $(VENV)/bin
READY   = $(VENV)/.ready

.PHONY: campaign help setup demo test seconds lint docs hashes dashboard bench mutants fuzz serve families exam exam-dose simulations reference-env commission audit clean

help:            ## Show the verbs
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

setup: $(READY)  ## Make the virtual environment with the pinned packages

# torch first and alone: the index decides whether it is a CPU or a CUDA build.
$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed; set PYTHON=/path/to/python3.11"; exit 2; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt torch
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[all,dev,docs]'
	touch $(READY)

demo: $(READY)   ## Run the whole path on virtual hospitals (about 3 minutes)
	$(BIN)/qa-suite demo

# Files of tests run side by side, each whole in one process of at most 2 GB.
SIDE_BY_SIDE = --numprocesses auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder

# Compiled beforehand: the programs that tests start would each compile every module they import,
# where nothing is written beside the code, and what is written while a disk is full is cut off.
test: lint       ## Check style, types and import contracts, then run the tests
	$(BIN)/python -m compileall -q -j 2 -x tests/data qa_suite translators reports tests
	$(BIN)/python -m pytest $(SIDE_BY_SIDE)

seconds: $(READY)  ## Run the tests and write down what each file takes; the longest are begun first
	$(BIN)/python -m pytest $(SIDE_BY_SIDE) --write-seconds

lint: $(READY)   ## Check style, types and import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: $(READY)   ## Build the documentation as a site, in site/; it opens without a server
	$(BIN)/zensical build --strict --clean

# Not of torch and its CUDA packages: the index decides between builds, whose files differ.
hashes: $(READY) ## Renew constraints-hashed.txt, the SHA-256 of every package pinned
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt uv
	{ printf '%s\n' '# Made by "make hashes" from constraints.txt: the SHA-256 of every file of each release.' \
	  '# torch and its CUDA packages have none here: the index decides between builds.'; \
	  grep -vE '^(torch|nvidia-|triton|cuda-)' constraints.txt | $(BIN)/uv pip compile --quiet --no-deps \
	  --generate-hashes --python-version 3.11.9 --no-annotate --no-header --no-emit-index-url -; \
	} > constraints-hashed.txt.new && mv constraints-hashed.txt.new constraints-hashed.txt

dashboard: $(READY)  ## Open the dashboard over the MLflow store
	$(BIN)/qa-suite dashboard

bench: $(READY)  ## Time the measures side by side with peers (about 10 minutes)
	$(BIN)/python benchmarks/bench.py --write docs/appendix/speed.md

exam: $(READY)   ## Examine the examiner: the table of planted faults (some hours; it carries on)
	$(BIN)/python benchmarks/exam_table.py --out exam --write docs/exam.md

# pyRadPlan needs an older numpy and pydantic than ours: an environment of its own.
reference-env:   ## Make .venv-reference with the reference dose engines (1.6 GB, a few minutes)
	test -x .venv-reference/bin/python || $(PYTHON) -m venv .venv-reference
	.venv-reference/bin/python -m pip install --quiet --disable-pip-version-check \
	  --constraint constraints-reference.txt 'pyRadPlan==0.5.0' 'pydantic<2.14' 'pyRadMC[warp]==0.2.1'

commission: $(READY)  ## Hold the dose engines against the reference engines (about an hour)
	$(BIN)/python -m benchmarks.commission --write docs/appendix/commissioning.md

exam-dose: $(READY)  ## The same for the profile of dose: photons and protons (see docs/dose/exam.md)
	$(BIN)/python benchmarks/exam_dose.py --out exam-dose --write docs/dose/exam.md

audit: $(READY)  ## Audit eight virtual hospitals, and the sarcoma patients by vendor where they are (about 15 minutes)
	$(BIN)/python -m benchmarks.audit_virtual --out audit-virtual --write docs/audit.md
	test ! -d ../shared/data/sts || $(BIN)/python -m benchmarks.audit_sts --out audit-sts --write docs/audit.md

simulations: $(READY)  ## Simulate whether the intervals hold what they promise (some minutes)
	$(BIN)/python -m benchmarks.simulations.run --workers 2 --write docs/simulations.md
	$(BIN)/python -m benchmarks.audit_rates --write docs/audit.md

mutants: $(READY)  ## Plant faults in judging and in kernels and count those that tests find (at most an hour and a half)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[all,dev,mutants]'
	$(BIN)/python -m benchmarks.mutants.run --write docs/mutants.md

fuzz: $(READY)  ## Spoil 100,000 files of every format and read them (about half an hour)
	$(BIN)/python -m tests.fuzz.run --inputs 100000 --seed 1

campaign: $(READY)  ## Kill commands at every rename and at random, and repeat them (about half an hour)
	$(BIN)/python -m tests.campaign.run --kills 60 --seed 1 --write docs/reliability.md

serve: $(READY)  ## Serve a registered model in a fresh environment (about ten minutes; 2 GB of packages)
	QA_SUITE_LONG=1 $(BIN)/python -m pytest -q tests/test_serving.py

families: $(READY)  ## Train, register and examine every family of translator alike (about two hours)
	$(BIN)/python -m benchmarks.families --at-a-time 2 --write docs/appendix/families.md
	$(BIN)/python -m benchmarks.families --at-a-time 2 --study placed --write docs/appendix/families.md

clean:           ## Remove the environment and what the demo made
	rm -rf mutants-run $(VENV) .venv-reference demo-output site .cache .mypy_cache .ruff_cache .pytest_cache
