# The everyday commands. CMake and its presets do the work; setup.sh installs what they need.

HOST ?= 127.0.0.1
PORT ?= 8000
MODEL ?= .deps/models/SmolLM2-135M-Instruct.Q4_1.gguf
ARGS ?=
JOBS ?= $(shell nproc)
PREFIX ?= build/install

# A model of one's own is not fetched.
ifeq ($(origin MODEL),file)
  MODEL_STEP := model
endif

.DEFAULT_GOAL := help
.PHONY: help setup build install serve quality test test-slow dev tsan cuda sass aarch64 \
  format lint clean distclean

help:
	@echo "make serve      set up, build, and serve $(notdir $(MODEL)) on $(HOST):$(PORT)"
	@echo "                (MODEL=path PORT=8000 HOST=127.0.0.1 ARGS='--bits 4 ...')"
	@echo "make quality    what each KV format costs on that model (ARGS='--kv tq4,tq3 ...')"
	@echo "make build      build/release/bin/turboquant-server and turboquant-bench"
	@echo "make install    the programs and the LibTorch they load, in PREFIX=$(PREFIX)"
	@echo "make test       all tests of the release build but the slow ones; CI runs this"
	@echo "make test-slow  the tests that take minutes"
	@echo "make dev        build and test with ASan+UBSan (no LibTorch)"
	@echo "make tsan       build and test engine and server with TSan (no LibTorch)"
	@echo "make cuda       build for CUDA devices, in build/cuda (needs nvcc; 3.6 GB of libraries)"
	@echo "make sass       bench/results/sass.md: what nvcc makes of the CUDA kernels (needs nvcc)"
	@echo "make aarch64    cross-compile the kernels for ARM and test them under qemu (slow)"
	@echo "make format     clang-format in place      make lint  clang-tidy (FILES=... for some)"
	@echo "make clean      remove build/              make distclean  remove .deps/ too"
	@echo "LIBTORCH=dir uses a LibTorch that is already there; JOBS=n limits parallel compilers."

# Ninja sees to its own reconfiguration; a preset that changed it does not see.
build/%/build.ninja: CMakePresets.json
	cmake --preset $* $(if $(LIBTORCH),-DLIBTORCH=$(LIBTORCH))
	@touch $@

setup:
	@cmake/setup.sh build torch model

build:
	@cmake/setup.sh build torch
	@$(MAKE) --no-print-directory build/release/build.ninja
	cmake --build --preset release --parallel $(JOBS)

# The programs with the LibTorch they load, in PREFIX/bin and PREFIX/lib; as in the Docker image.
install:
	@cmake/setup.sh build torch
	@JOBS=$(JOBS) docker/install.sh $(PREFIX)

serve:
	@cmake/setup.sh build torch $(MODEL_STEP)
	@$(MAKE) --no-print-directory build/release/build.ninja
	@cmake --build --preset release --parallel $(JOBS) --target turboquant-server
	@exec build/release/bin/turboquant-server --model $(MODEL) --host $(HOST) --port $(PORT) $(ARGS)

quality:
	@cmake/setup.sh build torch texts $(MODEL_STEP)
	@$(MAKE) --no-print-directory build/release/build.ninja
	@cmake --build --preset release --parallel $(JOBS) --target turboquant-bench
	@build/release/bin/turboquant-bench quality --model $(MODEL) $(ARGS)

test:
	@cmake/setup.sh build test torch model venv sass
	@$(MAKE) --no-print-directory build/release/build.ninja
	cmake --build --preset release --parallel $(JOBS)
	ctest --preset release

test-slow:
	@cmake/setup.sh build test torch model venv sass
	@$(MAKE) --no-print-directory build/release/build.ninja
	cmake --build --preset release --parallel $(JOBS)
	ctest --preset slow

dev tsan:
	@TQ_TORCH=OFF cmake/setup.sh build test model
	@$(MAKE) --no-print-directory build/$@/build.ninja
	cmake --build --preset $@ --parallel $(JOBS)
	ctest --preset $@

cuda:
	@cmake/setup.sh build torch-cuda
	@$(MAKE) --no-print-directory build/cuda/build.ninja
	cmake --build --preset cuda --parallel $(JOBS)

sass:
	@cmake/setup.sh build torch sass
	cmake --preset release -B build/sass -DTQ_CUDA=ON -DTQ_TORCH=OFF
	cmake --build build/sass --parallel $(JOBS) --target tq_kernels
	python3 tests/kernels/sass/gate.py --cuobjdump .deps/cuda/cuobjdump \
	  --table bench/results/sass.md build/sass/kernels/libtq_kernels.a

aarch64:
	@cmake/setup.sh build aarch64
	@$(MAKE) --no-print-directory build/$@/build.ninja
	cmake --build --preset $@ --parallel $(JOBS)
	ctest --preset $@

format:
	@cmake/setup.sh test
	@git ls-files -z --cached --others --exclude-standard '*.h' '*.cpp' '*.cu' '*.cuh' \
	  | xargs -0 clang-format -i

lint:
	@cmake/setup.sh build test lint torch
	@$(MAKE) --no-print-directory build/release/build.ninja
	@cmake/lint.sh build/release $(FILES)

clean:
	rm -rf build

distclean: clean
	rm -rf .deps
