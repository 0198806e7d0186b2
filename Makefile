# Fresh machine to a running service: make serve. To a green test suite: make test.
PYTHON ?= python3
DATA ?=
GROUPS ?=
RECIPE ?= efficientnet_b0
CHECKPOINT ?= weights/efficientnet_b0.pth
IMAGE ?= brain-tumor-mri
DOCKER ?= docker
BENCH ?=
# For make weights, see docs/training.md: tables beside GROUPS, files, options of fit, and folders.
BOXES ?=
COARSE ?=
PRETRAINED ?=
OFFICIAL ?=
CROSS_VALIDATION ?=
VERSION ?= 3.1.0
FIT ?=
RUN ?= runs/efficientnet_b0_coarse
OUT ?= weights
# An extra package index for torch, e.g. PyTorch's own with CPU-only builds; see docs/development.md.
TORCH_INDEX ?=
PIP_INSTALL = pip install --quiet --disable-pip-version-check

# What pytest is given beside its options in pyproject.toml; CI runs the slow tests too.
PYTEST_OPTIONS ?= -m "not slow"
UV_OPTIONS ?=
PIN = .venv-security/bin/uv pip compile --quiet --universal --python-version 3.11 \
  --custom-compile-command "make requirements" $(UV_OPTIONS)
PIN_ALIKE = $(PIN) --no-annotate --constraints requirements.txt
EXTRAS = torch dicom nifti ray tracing tracking

.PHONY: help serve test lint format train evaluate weights audit bench image requirements sbom audit-dependencies clean

help:  ## show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/'

serve: .venv-serve/.installed  ## install what serving needs and start on http://127.0.0.1:8000
	exec .venv-serve/bin/python -m api

test: .venv/.installed  ## install everything and run the tests, without the slow ones
	.venv/bin/python -m pytest $(PYTEST_OPTIONS)

lint: .venv/.installed  ## formatting, lint and types
	.venv/bin/ruff format --check .
	.venv/bin/ruff check .
	.venv/bin/mypy

format: .venv/.installed  ## format the code
	.venv/bin/ruff format .
	.venv/bin/ruff check --fix .

train: need-data .venv/.installed  ## train: make train DATA=DIR [RECIPE=NAME]
	.venv/bin/python -m training fit $(DATA) --recipe $(RECIPE)

evaluate: need-data .venv/.installed  ## measure: make evaluate DATA=DIR [CHECKPOINT=FILE] [GROUPS=CSV]
	.venv/bin/python -m training evaluate $(DATA) --checkpoint $(CHECKPOINT) $(if $(GROUPS),--groups $(GROUPS)) --out evaluation

# What is done already is left as it is; a training that was stopped goes on.
weights: $(RUN)/evaluation/evaluation.json $(if $(BOXES),$(RUN)/localization/localization.json) $(RUN)/audit/summary.json  ## the shipped weights and their card: make weights DATA=DIR GROUPS=CSV BOXES=CSV COARSE=CSV
	mkdir -p $(OUT)
	cp $(RUN)/efficientnet_b0_coarse.pth $(OUT)/efficientnet_b0.pth
	cp $(RUN)/efficientnet_b0_coarse.onnx $(OUT)/efficientnet_b0.onnx
	cd $(OUT) && sha256sum efficientnet_b0.onnx efficientnet_b0.pth > SHA256SUMS
	.venv/bin/python -m training model-card --checkpoint $(OUT)/efficientnet_b0.pth --out $(OUT)/README.md \
	  --evaluation $(RUN)/evaluation/evaluation.json --audit $(RUN)/audit/summary.json \
	  $(if $(BOXES),--localization $(RUN)/localization/localization.json) \
	  $(if $(CROSS_VALIDATION),--cross-validation $(CROSS_VALIDATION))

$(RUN)/summary.json: | need-data .venv/.installed
	.venv/bin/python -m training fit $(DATA) --recipe efficientnet_b0_coarse --version $(VERSION) \
	  $(if $(wildcard $(RUN)/run.json),--resume,--out) $(RUN) $(if $(GROUPS),--groups $(GROUPS)) \
	  $(if $(BOXES),--boxes $(BOXES)) $(if $(COARSE),--coarse $(COARSE)) \
	  $(if $(PRETRAINED),--pretrained-file $(PRETRAINED)) $(FIT)

$(RUN)/evaluation/evaluation.json: $(RUN)/summary.json
	.venv/bin/python -m training evaluate $(DATA) --checkpoint $(RUN)/efficientnet_b0_coarse.onnx --prevalence 0.05 --shift \
	  $(if $(GROUPS),--groups $(GROUPS)) $(if $(COARSE),--elsewhere $(COARSE)) \
	  $(if $(OFFICIAL),--official-checkpoint $(OFFICIAL)) --out $(RUN)/evaluation

$(RUN)/localization/localization.json: $(RUN)/summary.json
	.venv/bin/python -m training localize $(DATA) --checkpoint $(RUN)/efficientnet_b0_coarse.pth --boxes $(BOXES) \
	  $(if $(GROUPS),--groups $(GROUPS) --part test) --out $(RUN)/localization

$(RUN)/audit/summary.json: | need-data .venv/.installed
	.venv/bin/python -m training audit $(DATA) --out $(RUN)/audit

audit: need-data .venv/.installed  ## look for copies and shortcuts: make audit DATA=DIR
	.venv/bin/python -m training audit $(DATA)

bench: .venv/.installed  ## measure the service, its parts and the alternatives: make bench [BENCH="--quick"]
	.venv/bin/python -m tests.benchmark $(BENCH)

image:  ## build the Docker image and print its size
	$(DOCKER) build --tag $(IMAGE) .
	$(DOCKER) image ls $(IMAGE)

# Without Ray in requirements.txt, for its size: its tests run where requirements/ray.txt is installed as well.
requirements: .venv-security/.installed  ## pin what pyproject.toml names; newest releases: make requirements UV_OPTIONS=--upgrade
	$(PIN) --annotation-style line --group dev --extra training $(patsubst %,--extra %,$(filter-out ray,$(EXTRAS))) \
	  pyproject.toml --output-file requirements.txt
	$(PIN_ALIKE) pyproject.toml --output-file requirements-serve.txt
	for extra in $(EXTRAS); do \
	  $(PIN_ALIKE) pyproject.toml --extra $$extra --output-file requirements/$$extra.txt || exit; \
	done
	$(PIN_ALIKE) --group security --output-file requirements/security.txt

sbom: .venv-serve/.installed .venv-security/.installed  ## write sbom.cdx.json: everything that serving installs (CycloneDX)
	.venv-security/bin/cyclonedx-py environment --pyproject pyproject.toml --output-reproducible -o sbom.cdx.json .venv-serve/bin/python

audit-dependencies: .venv-security/.installed  ## look up known vulnerabilities of what serving installs (needs internet)
	.venv-security/bin/pip-audit --requirement requirements-serve.txt --no-deps --disable-pip --strict

clean:  ## remove the virtual environments and caches
	rm -rf .venv .venv-serve .venv-security .coverage .mypy_cache .pytest_cache .ruff_cache

.PHONY: need-data
need-data:
	@test -n "$(DATA)" || { echo "name the data folder: make $(MAKECMDGOALS) DATA=DIR" >&2; exit 2; }

.PHONY: python-is-recent
python-is-recent:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed: make $(MAKECMDGOALS) PYTHON=python3.11" >&2; exit 2; }

.venv-serve/.installed: requirements-serve.txt | python-is-recent
	$(PYTHON) -m venv .venv-serve
	.venv-serve/bin/$(PIP_INSTALL) -r requirements-serve.txt
	touch $@

.venv/.installed: requirements.txt | python-is-recent
	$(PYTHON) -m venv .venv
	.venv/bin/$(PIP_INSTALL) $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX)) -r requirements.txt
	touch $@

.venv-security/.installed: requirements/security.txt | python-is-recent
	$(PYTHON) -m venv .venv-security
	.venv-security/bin/$(PIP_INSTALL) -r requirements/security.txt
	touch $@
