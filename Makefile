# tsm-edge. `make` lists the targets; each sets up what it needs.
SHELL := /bin/bash

# A value that make is given may hold anything. No recipe has a value in its text, where make and the shell would run
# parts of it: a recipe reads it from its environment, "$$MODEL" in quotes. make also expands the values on its command
# line for that environment, so each is kept here as the text it is. Nor does a make below this one (cmake) see them.
override VALUES := HOST MODEL WEIGHTS MODE LOWERING FRAMES SEED CASES START DRY_RUN CLIP KERNEL_OPTIONS PYTHON PYTHON36 CONFIG DIRECTION
override define KEEP_AS_TEXT
override $(1) := $$(value $(1))
export $(1)
endef
override given = $(filter command environment,$(firstword $(origin $(1))))
override typed = $(foreach name,$(.VARIABLES),$(if $(filter command,$(firstword $(origin $(name)))),$(name)))
$(foreach name,$(sort $(VALUES) $(typed)),$(if $(call given,$(name)),$(eval $(call KEEP_AS_TEXT,$(name)))))
MAKEOVERRIDES :=

override VENV := .venv
override VENV36 := .venv36
override BIN := $(VENV)/bin
PYTHON ?= python3
PYTHON36 ?= $(firstword $(wildcard $(HOME)/.pyenv/versions/3.6.*/bin/python) $(shell command -v python3.6))
CLIP ?= $(wildcard ../shared/data/clips/mmaction2_demo.mp4)
export PYTHON PYTHON36 CLIP

.DEFAULT_GOAL := help
.PHONY: help venv demo test test-device lint format docs export verify kernels kernels-check bench bench-again bench-before bench-cameras bench-stalls soak hostile train-demo train-detection pictures wheel install-check deploy clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

venv: $(VENV)/.ready ## make the host environment (.venv)

$(VENV)/.ready: constraints.txt setup.py
	scripts/make_venv.sh "$$PYTHON" $(VENV)
	@touch $@

demo: $(VENV)/.ready ## run `tsm-edge demo` (export, proof, gestures), then stream a real video through the model
	scripts/demo.sh $(BIN) "$$CLIP"

export: $(VENV)/.ready ## export MODEL=name, recipe.toml or a train folder [WEIGHTS=file] [MODE=online|offline] to build/
	@test -n "$$MODEL" || { echo "make export needs MODEL=name; names: $$(cd export/tsm_edge_export/recipes && ls *.toml | sed 's/\.toml//' | tr '\n' ' ')" >&2; exit 2; }
	$(BIN)/tsm-edge export $${WEIGHTS:+--weights="$$WEIGHTS"} $${MODE:+--mode="$$MODE"} $${LOWERING:+--lowering="$$LOWERING"} -- "$$MODEL"

verify: $(VENV)/.ready ## prove MODEL=file.onnx again
	@test -n "$$MODEL" || { echo "make verify needs MODEL=file.onnx" >&2; exit 2; }
	$(BIN)/tsm-edge verify -- "$$MODEL"

test: $(VENV)/.ready kernels test-device ## all tests
	OMP_NUM_THREADS=1 TSM_EDGE_SHORT_INSTALL=1 $(BIN)/python -m pytest tests -n 2 --dist loadfile --timeout 900

test-device: $(VENV)/.ready ## the device half's tests on Python 3.6
	scripts/test_device.sh $(BIN) $(VENV36) "$$PYTHON36"

lint: $(VENV)/.ready ## ruff, ruff format, mypy, vermin, clang-format, shellcheck
	scripts/lint.sh $(BIN)

format: $(VENV)/.ready ## let ruff and clang-format rewrite the sources
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	git ls-files '*.h' '*.cpp' '*.cu' '*.cuh' | xargs -r $(BIN)/clang-format -i

docs: $(VENV)/.ready ## build the pages and the Python API reference as a site, build/docs/index.html
	OMP_NUM_THREADS=1 $(BIN)/python scripts/make_docs.py

kernels: ## build the native kernels for ONNX Runtime, CUDA and TensorRT (those found here) into tsm_edge/native/lib
	@scripts/need.sh cmake cmake
	@scripts/need.sh g++ g++
	mkdir -p build/kernels && cd build/kernels && { read -r -d '' -a options <<<"$$KERNEL_OPTIONS"; \
	    cmake ../../kernels "$${options[@]}"; } && cmake --build .

kernels-check: $(VENV)/.ready ## compile the CUDA kernels for Nano to Hopper, test the TensorRT plugins in the real registry
	env -u PYTHON sh kernels/scripts/kernels_check.sh

BENCHES := preprocess step run startup models streams growth roofline profile checksum
export BENCHES
measure = mkdir -p $(1) && read -r -d '' -a names <<<"$$BENCHES"; for name in "$${names[@]}"; do \
    $(BIN)/python "benchmarks/bench_$$name.py" --json "$(1)/$$name.json" || exit 1; done

bench: $(VENV)/.ready kernels ## measure against the published pipeline and the 2D network (20 minutes, on a quiet machine)
	$(call measure,benchmarks/results)
	$(BIN)/python benchmarks/table.py
	$(BIN)/python benchmarks/roofline_page.py

bench-again: $(VENV)/.ready kernels ## measure once more into build/bench, and compare the ratios with the kept ones (5 %)
	$(call measure,build/bench)
	$(BIN)/python benchmarks/agreement.py build/bench

bench-before bench-cameras bench-stalls: bench-%: $(VENV)/.ready kernels
	$(BIN)/python benchmarks/bench_$*.py --json benchmarks/results/$*.json
	$(BIN)/python benchmarks/table.py

bench-before: ## measure one stream against the commit before the rebuild on sessions (8 minutes)
bench-cameras: ## measure eight cameras in one process against eight processes (5 minutes)
bench-stalls: ## measure the latency of two live streams beside two faulty ones (12 minutes)

pictures: $(VENV)/.ready ## draw the pictures of README.md and docs/concept.md anew (2 minutes of a core)
	@mkdir -p build/demo; test -e build/demo/mobilenetv2_tsm.onnx || $(BIN)/tsm-edge export mobilenetv2_tsm -o build/demo/mobilenetv2_tsm.onnx
	$(BIN)/python scripts/make_concept_drawings.py
	OMP_NUM_THREADS=1 $(BIN)/python scripts/make_memory_picture.py
	OMP_NUM_THREADS=1 $(BIN)/python scripts/make_detection_picture.py
	OMP_NUM_THREADS=1 $(BIN)/python scripts/make_readme_animation.py

train-demo: $(VENV)/.ready ## train the weights of mobilenetv2_tsm anew, START=mobilenetv2.pth (140 minutes of a core)
	scripts/train_demo.sh $(BIN) "$$START"

train-detection: $(VENV)/.ready ## train a detector, CONFIG=objects_192 or file.toml [START=centerface.onnx] [DIRECTION=causal|none]
	scripts/train_detection.sh $(BIN) "$$CONFIG" "$$START" "$$DIRECTION"

soak: $(VENV)/.ready kernels ## hours of frames with every fault through `tsm-edge run`, and several cameras (minutes; [FRAMES=200000] [SEED=0])
	$(BIN)/python -m tests.device_models build/device
	OMP_NUM_THREADS=1 OPENCV_LOG_LEVEL=ERROR $(BIN)/python -m tests.soak --json build/soak.json \
	    $${FRAMES:+--frames="$$FRAMES"} $${SEED:+--seed="$$SEED"}

hostile: $(VENV)/.ready kernels ## hostile inputs through every command, judged (at most 10 minutes; [CASES=1000] [SEED=0])
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.hostile --json build/hostile.json

wheel: $(VENV)/.ready ## build the sdist and the wheels in dist/, with the CPU kernel library for this processor
	scripts/make_wheel.sh $(BIN)

install-check: $(VENV)/.ready ## install sdist and wheels in empty environments of each Python here, run the commands
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest tests/test_install.py --timeout 900 --durations 0

deploy: ## put MODEL=name onto HOST=user@board by ssh, build it there, bring a report back ([DRY_RUN=1], scripts/deploy.sh)
	@scripts/deploy.sh $${DRY_RUN:+--dry-run} -- "$$HOST" "$$MODEL"

clean: ## remove all build results, but not the environments
	rm -rf build dist tsm_edge/native/lib
