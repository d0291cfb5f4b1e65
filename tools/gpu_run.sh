#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Everything there is to do on a machine with a GPU, in one call: builds the plug-in for its architecture, runs the tests on
# it (under compute-sanitizer too, where that is installed), and times all rows beside PyTorch. One JSON file is left.
#   tools/gpu_run.sh OUT.json [seconds for the tests, 150]
set -euo pipefail
cd "$(dirname "$0")/.."
out=$(realpath -m "$1") limit=${2:-150} build=$(mktemp -d)
trap 'rm -rf "$build"' EXIT
arch=$(nvidia-smi --query-gpu=compute_cap --format=csv,noheader | head -1 | tr -d .)
[ "$arch" = 90 ] && arch=90a
from=$SECONDS
cmake -S . -B "$build" -G Ninja -DLAMELLA_CUDA=ON -DLAMELLA_CUDA_ARCHS="$arch-real" -DLAMELLA_ONLY_ISA=v3 \
  ${PYBIND11_DIR:+-Dpybind11_DIR=$PYBIND11_DIR} >/dev/null
cmake --build "$build" --target _core _cuda >"$build/log" 2>&1 || { tail -50 "$build/log"; exit 1; }
cp -r python "$build/site"
rm -f "$build"/site/lamella/*.so
cp "$build"/_core*.so "$build"/cuda/_cuda.so "$build/site/lamella/"
export PYTHONPATH=$build/site
echo "built in $((SECONDS - from)) s"
python3 -c 'from lamella import cuda; print(cuda.get_device_name(), cuda.get_device_capability())'
code=0
timeout "$limit" python3 -m pytest -q -p no:cacheprovider -x --maxfail=50 tests/test_cuda.py >"$build/tests" 2>&1 || code=$?
tail -60 "$build/tests"
echo "tests: exit $code after $((SECONDS - from)) s"
if command -v compute-sanitizer >/dev/null; then
  for tool in memcheck racecheck; do
    timeout 60 compute-sanitizer --tool $tool --error-exitcode 9 python3 -m pytest -q -p no:cacheprovider tests/test_cuda.py \
      -k "test_training or test_graph" 2>&1 | tail -5 || echo "$tool: exit $?"
  done
fi
python3 -m bench.gpu --json "$out"
echo "done after $((SECONDS - from)) s"
