# tsm-edge. `make` lists the targets; each sets up what it needs.
SHELL := /bin/bash
PYTHON ?= python3
PYTHON36 ?= $(firstword $(wildcard $(HOME)/.pyenv/versions/3.6.*/bin/python) $(shell command -v python3.6))
VENV := .venv
VENV36 := .venv36
BIN := $(VENV)/bin
CLIP ?= $(wildcard ../shared/data/clips/mmaction2_demo.mp4)

.DEFAULT_GOAL := help
.PHONY: help venv demo test test-device lint format export verify kernels kernels-check bench bench-again bench-before bench-cameras bench-stalls soak train-demo wheel deploy clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

venv: $(VENV)/.ready ## make the host environment (.venv)

$(VENV)/.ready: constraints.txt setup.py
	scripts/make_venv.sh $(PYTHON) $(VENV)
	@touch $@

demo: $(VENV)/.ready ## export mobilenetv2_tsm, prove it, stream gestures and a real video through it
	scripts/demo.sh $(BIN) $(CLIP)

export: $(VENV)/.ready ## export MODEL=name or recipe.toml [WEIGHTS=file] [MODE=online|offline] to build/
	@test -n "$(MODEL)" || { echo "make export needs MODEL=name; names: $$(cd export/tsm_edge_export/recipes && ls *.toml | sed 's/\.toml//' | tr '\n' ' ')" >&2; exit 2; }
	$(BIN)/tsm-edge export $(MODEL) $(if $(WEIGHTS),--weights $(WEIGHTS)) $(if $(MODE),--mode $(MODE)) $(if $(LOWERING),--lowering $(LOWERING))

verify: $(VENV)/.ready ## prove MODEL=file.onnx again
	$(BIN)/tsm-edge verify $(MODEL)

test: $(VENV)/.ready kernels test-device ## all tests
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest tests -n 2 --dist loadfile --timeout 900

test-device: $(VENV)/.ready ## the device half's tests on Python 3.6
	scripts/test_device.sh $(BIN) $(VENV36) "$(PYTHON36)"

lint: $(VENV)/.ready ## ruff, ruff format, mypy, vermin, clang-format, shellcheck
	scripts/lint.sh $(BIN)

format: $(VENV)/.ready ## let ruff and clang-format rewrite the sources
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	git ls-files '*.h' '*.cpp' '*.cu' '*.cuh' | xargs -r $(BIN)/clang-format -i

kernels: ## build the native kernels for ONNX Runtime, CUDA and TensorRT (those found here) into tsm_edge/native/lib
	@scripts/need.sh cmake cmake
	@scripts/need.sh g++ g++
	mkdir -p build/kernels && cd build/kernels && cmake ../../kernels $(KERNEL_OPTIONS) && cmake --build .

kernels-check: $(VENV)/.ready ## compile the CUDA kernels for Nano to Hopper, test the TensorRT plugins in the real registry
	sh kernels/scripts/kernels_check.sh

BENCHES := preprocess step run startup models streams growth roofline profile
measure = mkdir -p $(1) && for name in $(BENCHES); do \
    $(BIN)/python benchmarks/bench_$$name.py --json $(1)/$$name.json || exit 1; done

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

train-demo: $(VENV)/.ready ## train the weights of mobilenetv2_tsm anew, START=mobilenetv2.pth (140 minutes of a core)
	scripts/train_demo.sh $(BIN) "$(START)"

soak: $(VENV)/.ready kernels ## hours of frames with every fault through `tsm-edge run`, and several cameras (minutes; [FRAMES=200000] [SEED=0])
	$(BIN)/python -m tests.device_models build/device
	OMP_NUM_THREADS=1 OPENCV_LOG_LEVEL=ERROR $(BIN)/python -m tests.soak --json build/soak.json $(if $(FRAMES),--frames $(FRAMES)) $(if $(SEED),--seed $(SEED))

wheel: $(VENV)/.ready ## build wheels in dist/ with the CPU kernel library for this processor
	scripts/make_wheel.sh $(BIN)

deploy: ## put MODEL=name onto HOST=user@board by ssh, build it there, bring a report back ([DRY_RUN=1], scripts/deploy.sh)
	@scripts/deploy.sh $(if $(DRY_RUN),--dry-run) "$(HOST)" "$(MODEL)"

clean: ## remove all build results, but not the environments
	rm -rf build dist tsm_edge/native/lib
