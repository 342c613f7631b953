# gradstone: `make help` lists what there is.
#
# One build tree, build/cpp, serves the wheel and the C++ tests, so the core is compiled once.
# Environments are made here (.venv, .venv-bench, .venv-peers); nothing outside this folder is
# touched, but for the two Debian packages that `make test` installs where it can.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.ONESHELL:
.DEFAULT_GOAL := help

PYTHON ?= python3
JOBS ?= $(shell nproc)
VENV ?= .venv
BENCH_VENV ?= .venv-bench
PEERS_VENV ?= .venv-peers
PYTEST_ARGS ?=
DEMO_ARGS ?=
BENCH_ARGS ?=
GPU_ARGS ?=

BUILD := build/cpp
CPU_ONLY := -DGRADSTONE_CUDA=OFF
EMU := build/emu
NVCC := build/nvcc
WHEELS := build/wheels
PY := $(VENV)/bin/python
PIP := $(PY) -m pip --disable-pip-version-check --quiet

# Tools of the environment first: cmake, ninja, ruff, clang-format.
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)
export CMAKE_BUILD_PARALLEL_LEVEL := $(JOBS)
unexport PYTHONPATH

CPP_FILES = $(shell find csrc cuda python/src tests bench -name '*.h' -o -name '*.cpp' -o -name '*.cu' -o -name '*.cuh' 2>/dev/null)
PY_FOLDERS = $(wildcard python tests bench examples tools)
# What a wheel is made of. Folders are listed too: deleting a file touches its folder.
WHEEL_SOURCES = CMakeLists.txt pyproject.toml LICENSE $(wildcard README.md) \
	$(shell find csrc cuda python -not -path '*/__pycache__*' -not -name '.*' 2>/dev/null)

##@ Use

.PHONY: help
help: ## this list
	@awk 'BEGIN { FS = ":.*## " } /^##@ / { printf "\n%s\n", substr($$0, 5) } \
	  /^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

.PHONY: demo
demo: $(VENV)/.package $(VENV)/.extras-progress-plot ## train a CNN on real handwritten digits and draw what it learned
	$(PY) examples/mnist_cnn.py $(DEMO_ARGS)

.PHONY: wheel
wheel: $(WHEELS)/.built ## build/wheels/gradstone-*.whl
	@ls -l $(WHEELS)/*.whl

##@ Test

.PHONY: test
test: test-deps ## every test: C++ through ctest, Python through pytest
	@$(MAKE) --no-print-directory test-cpp
	$(MAKE) --no-print-directory test-py

.PHONY: test-deps
test-deps: # GoogleTest and Google Benchmark from Debian, where they can be installed.
	@tools/install_debian.sh "CMake will fetch the sources" libgtest-dev libbenchmark-dev

.PHONY: test-cpp
test-cpp: $(VENV)/.tools ## the C++ tests alone
	@tools/build_cpp.sh $(BUILD) gradstone_tests -DGRADSTONE_TESTS=ON $(CPU_ONLY)
	ctest --test-dir $(BUILD) --output-on-failure -j $(JOBS)

.PHONY: test-py
test-py: $(VENV)/.package $(VENV)/.extras-test-progress-plot ## the Python tests alone; PYTEST_ARGS="-k conv" chooses
	$(PY) -m pytest $(PYTEST_ARGS)

.PHONY: test-emu
test-emu: test-deps $(EMU)/.package ## the CUDA kernels on the host: kernel tests in four orders, the operation table
	@for order in fifo reverse lifo random; do
	  echo "kernel tests, threads in the order: $$order"
	  GS_CUDA_HOST_ORDER=$$order $(EMU)/gradstone_cuda_tests --gtest_brief=1
	done
	PYTHONPATH=$(EMU)/site $(PY) -m pytest --device cuda $(EMU_TESTS) $(PYTEST_ARGS)

.PHONY: gpu
gpu: ## on a machine with a GPU, in eight minutes: build, conformance, tests, the table beside PyTorch
	@PYTHONPATH="$(PYTHONPATH)" $(PYTHON) tools/gpu $(GPU_ARGS)

.PHONY: mutants
mutants: test-deps $(VENV)/.tools ## plants bugs in the CUDA kernels, one at a time: the kernel tests must find each
	@$(PY) tests/cuda/mutants.py $(MUTANTS)

.PHONY: test-nvcc
test-nvcc: ## the build with nvcc: each kernel's registers and instructions, and the Python tests without a GPU
	@if ! nvcc="$$(tools/find_nvcc.sh)"; then
	  echo "no nvcc of CUDA 12 or newer here: the build with nvcc is not tested"
	  exit 0
	fi
	CUDACXX="$$nvcc" $(MAKE) --no-print-directory test-deps $(NVCC)/.package
	$(PY) tests/cuda/resources.py
	$(PY) tests/cuda/instructions.py
	PYTHONPATH=$(NVCC)/site $(PY) -c 'import gradstone as gs
	print(gs.show_config())
	assert gs._C._cuda_built(), "the module was built without CUDA"'
	PYTHONPATH=$(NVCC)/site $(PY) -m pytest $(PYTEST_ARGS)

.PHONY: nvcc-table
nvcc-table: $(VENV)/.tools ## writes what the kernels use now into tests/cuda/resources
	@nvcc="$$(tools/find_nvcc.sh)" || { echo "no nvcc of CUDA 12 or newer here" >&2; exit 1; }
	CUDACXX="$$nvcc" tools/build_cpp.sh $(NVCC) gradstone_cuda $(NVCC_OPTIONS)
	$(PY) tests/cuda/resources.py --update

.PHONY: smoke
smoke: $(VENV)/.package $(VENV)/.extras-test-progress-plot ## the fast Python tests
	$(PY) -m pytest -m "not slow and not minutes" -x $(PYTEST_ARGS)

.PHONY: test-long
test-long: $(VENV)/.package $(VENV)/.extras-test-progress-plot ## programs trained on whole data sets, to their accuracy: minutes
	$(PY) -m pytest -m minutes $(PYTEST_ARGS)

.PHONY: sanitize
sanitize: $(VENV)/.tools ## the C++ tests, CUDA kernels included, under AddressSanitizer and UBSan
	@tools/build_cpp.sh build/asan "gradstone_tests gradstone_cuda_tests" \
	  -DGRADSTONE_TESTS=ON -DGRADSTONE_CUDA=EMU -DGRADSTONE_SANITIZE=address
	export ASAN_OPTIONS=detect_stack_use_after_return=1:strict_init_order=1
	export UBSAN_OPTIONS=print_stacktrace=1
	ctest --test-dir build/asan --output-on-failure -j $(JOBS)

.PHONY: sanitize-thread
sanitize-thread: $(VENV)/.tools ## the C++ tests under ThreadSanitizer, then the CUDA kernels
	@tools/build_cpp.sh build/tsan gradstone_tests -DGRADSTONE_TESTS=ON -DGRADSTONE_SANITIZE=thread $(CPU_ONLY)
	export TSAN_OPTIONS=halt_on_error=1
	ctest --test-dir build/tsan --output-on-failure -j $(JOBS)
	$(MAKE) --no-print-directory sanitize-kernels

# Each CUDA thread is a thread to ThreadSanitizer. Everything but the kernels is as in build/emu; shapes
# that take it longer than a few seconds are left to the other sanitizers.
.PHONY: sanitize-kernels
sanitize-kernels: test-deps $(VENV)/.tools ## the CUDA kernels on the emulator under ThreadSanitizer, small shapes
	@tools/build_cpp.sh build/tsan-kernels gradstone_cuda_tests \
	  -DGRADSTONE_TESTS=ON $(EMU_OPTIONS) -DGRADSTONE_SANITIZE=kernels
	export TSAN_OPTIONS=halt_on_error=1:suppress_equal_addresses=0:history_size=7
	export GRADSTONE_NUM_THREADS=1 GS_CUDA_HOST_ORDER=random
	ctest --test-dir build/tsan-kernels --output-on-failure -j $(JOBS) -R '^cuda\.' \
	  -E "$$(tr -s ' \t' '||' <<< '$(strip $(LARGE_SHAPES))')"

##@ Measure

.PHONY: bench
bench: test-deps $(BENCH_VENV)/.package ## gradstone beside PyTorch, as ratios; BENCH_ARGS is passed on
	@tools/build_cpp.sh $(BUILD) gradstone_bench -DGRADSTONE_BENCH=ON $(CPU_ONLY)
	$(BENCH_VENV)/bin/python bench/compare.py --peaks $(BUILD)/gradstone_bench $(BENCH_ARGS)

.PHONY: bench-peers
bench-peers: $(BENCH_VENV)/.package $(PEERS_VENV)/.created ## whole networks beside four libraries, and equal losses to PyTorch's
	@$(BENCH_VENV)/bin/python bench/peers.py --peers $(PEERS_VENV)/bin/python $(BENCH_ARGS)
	$(BENCH_VENV)/bin/python bench/same_losses.py

.PHONY: bench-build
bench-build: test-deps $(VENV)/.tools ## the C++ microbenchmarks, not run
	@tools/build_cpp.sh $(BUILD) gradstone_bench -DGRADSTONE_BENCH=ON $(CPU_ONLY)

.PHONY: bench-cpp
bench-cpp: bench-build ## the C++ kernel microbenchmarks
	BENCHMARK_MIN_TIME=$${BENCHMARK_MIN_TIME:-0.05} $(BUILD)/gradstone_bench $(BENCH_ARGS)

##@ Tidy

.PHONY: lint
lint: $(VENV)/.extras-dev ## ruff, mypy and clang-format, changing nothing
	@ruff check $(PY_FOLDERS)
	ruff format --check $(PY_FOLDERS)
	$(PY) -m mypy
	clang-format --dry-run -Werror $(CPP_FILES)

.PHONY: format
format: $(VENV)/.extras-dev ## ruff and clang-format, in place
	@ruff check --fix-only $(PY_FOLDERS)
	ruff format $(PY_FOLDERS)
	clang-format -i $(CPP_FILES)

.PHONY: stub-check
stub-check: $(VENV)/.package $(VENV)/.extras-dev ## _C.pyi against the module it describes
	MYPYPATH=python $(PY) -m mypy.stubtest gradstone._C --ignore-missing-stub

.PHONY: clean
clean: ## remove builds and environments
	rm -rf build $(VENV) $(BENCH_VENV) $(PEERS_VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find python tests bench examples tools -name __pycache__ -prune -exec rm -rf {} + 2>/dev/null || true

# -------------------------------------------------------------------------------- environments

# The requirements of an extra, straight from pyproject.toml: $(call extra,test progress)
extra = $(PY) -c 'import sys, tomllib; \
  extras = tomllib.load(open("pyproject.toml", "rb"))["project"]["optional-dependencies"]; \
  print(*(line for name in sys.argv[1:] for line in extras[name]), sep="\n")' $(1)

$(VENV)/.created:
	@tools/check_python.sh $(PYTHON)
	$(PYTHON) -m venv $(VENV)
	touch $@

# Build requirements live in the environment: a build without pip's isolation keeps its tree.
$(VENV)/.tools: $(VENV)/.created pyproject.toml tools/cmake_requirements.sh
	@needed="$$(tools/cmake_requirements.sh)"
	echo "installing build tools into $(VENV)"
	$(PY) -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["build-system"]["requires"], sep="\n")' \
	  | $(PIP) install -r /dev/stdin $$needed
	touch $@

$(WHEELS)/.built: $(WHEEL_SOURCES) | $(VENV)/.tools
	@echo "building the wheel (the first time, this compiles the whole core)"
	rm -rf $(WHEELS)
	$(PIP) wheel --no-build-isolation --no-deps --config-settings=build-dir=$(BUILD) \
	  --config-settings=cmake.define.GRADSTONE_CUDA=OFF --wheel-dir $(WHEELS) .
	touch $@

# The same package with emulated CUDA, beside the environment's own: found first through PYTHONPATH.
EMU_TESTS = tests/python/test_op_table.py tests/python/test_op_derivatives.py \
	$(wildcard tests/python/test_cuda*.py) $(wildcard tests/python/test_amp*.py) \
	tests/python/test_index_select.py tests/python/test_gpu_run.py
EMU_OPTIONS := -DGRADSTONE_CUDA=EMU -DGRADSTONE_BASELINE_ONLY=ON
# Tests that ThreadSanitizer takes more than a few seconds for.
LARGE_SHAPES := Large Shares ManyPixels MoreElements ManyTensors MoreTensors LongRows \
	Gemm.TensorCores Gemm.ThreeTf32 Gemm.Tf32 Gemm.Integers Gemm.Split Gemm.Vectors \
	IndexWrite.Scatter IndexWrite.IndexAdd Scan.Sums Scan.Products FirstOfEqualOnes \
	Sort.FirstFew Sort.InGlobalMemory GroupNorm.Groups Moments.EveryForm RecurrentPersistent.Deep

$(EMU)/.package: $(WHEEL_SOURCES) $(shell find tests/cuda tests/cuda_host 2>/dev/null) \
		| $(VENV)/.package $(VENV)/.extras-test-progress-plot
	@tools/build_cpp.sh $(EMU) gradstone_cuda_tests -DGRADSTONE_TESTS=ON $(EMU_OPTIONS)
	rm -rf $(EMU)/wheels $(EMU)/site
	$(PIP) wheel --no-build-isolation --no-deps --config-settings=build-dir=$(EMU) \
	  --config-settings=cmake.define.GRADSTONE_CUDA=EMU \
	  --config-settings=cmake.define.GRADSTONE_BASELINE_ONLY=ON --wheel-dir $(EMU)/wheels .
	$(PIP) install --no-deps --target $(EMU)/site $(EMU)/wheels/gradstone-*.whl
	touch $@

# The same package with CUDA. The CPU's kernels come from the compiler cache; without one, a third of them will do.
NVCC_OPTIONS := -DGRADSTONE_TESTS=ON -DGRADSTONE_CUDA=ON \
	$(if $(shell command -v ccache),,-DGRADSTONE_BASELINE_ONLY=ON)
$(NVCC)/.package: $(WHEEL_SOURCES) $(shell find tests/cuda -name '*.cpp' -o -name '*.h' 2>/dev/null) \
		| $(VENV)/.package $(VENV)/.extras-test-progress-plot
	@tools/build_cpp.sh $(NVCC) gradstone_cuda_tests $(NVCC_OPTIONS)
	rm -rf $(NVCC)/wheels $(NVCC)/site
	$(PIP) wheel --no-build-isolation --no-deps --config-settings=build-dir=$(NVCC) \
	  --config-settings=cmake.define.GRADSTONE_CUDA=ON --wheel-dir $(NVCC)/wheels .
	$(PIP) install --no-deps --target $(NVCC)/site $(NVCC)/wheels/gradstone-*.whl
	touch $@

$(VENV)/.package: $(WHEELS)/.built
	@$(PIP) install --force-reinstall --no-deps $(WHEELS)/gradstone-*.whl
	$(PIP) install $(WHEELS)/gradstone-*.whl
	touch $@

$(VENV)/.extras-%: pyproject.toml | $(VENV)/.created
	@echo "installing for: $(subst -, ,$*)"
	$(call extra,$(subst -, ,$*)) | $(PIP) install -r /dev/stdin
	touch $@

$(BENCH_VENV)/.created: pyproject.toml
	@$(PYTHON) -m venv $(BENCH_VENV)
	echo "installing PyTorch into $(BENCH_VENV)"
	$(call extra,bench) | $(BENCH_VENV)/bin/python -m pip --disable-pip-version-check install -r /dev/stdin
	touch $@

$(BENCH_VENV)/.package: $(WHEELS)/.built $(BENCH_VENV)/.created
	@install="$(BENCH_VENV)/bin/python -m pip --disable-pip-version-check --quiet install"
	$$install --force-reinstall --no-deps $(WHEELS)/gradstone-*.whl
	$$install $(WHEELS)/gradstone-*.whl
	touch $@

$(PEERS_VENV)/.created: pyproject.toml | $(VENV)/.created
	@$(PYTHON) -m venv $(PEERS_VENV)
	echo "installing TensorFlow, JAX and ONNX Runtime into $(PEERS_VENV)"
	$(call extra,peers) | $(PEERS_VENV)/bin/python -m pip --disable-pip-version-check install -r /dev/stdin
	touch $@
