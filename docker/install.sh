#!/usr/bin/env bash
# Builds the release and installs the programs with the LibTorch they load: docker/install.sh PREFIX
# The packages and .deps/libtorch must be there (cmake/setup.sh build torch).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
prefix=$1

cmake --preset release -DTQ_TIDY_HEADERS=OFF
cmake --build --preset release --parallel "${JOBS:-$(nproc)}" \
  --target turboquant-server turboquant-bench
cmake --install build/release --prefix "$prefix" --strip

# A library that is missing shows here, not at the first start of a container.
for program in turboquant-server turboquant-bench; do
  if ldd "$prefix/bin/$program" | grep 'not found'; then exit 1; fi
  "$prefix/bin/$program" --help >/dev/null
done
