#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Everything there is to do on a machine with a GPU, in one call: builds the plug-in for its architecture, runs the tests on
# it (under compute-sanitizer too, where that is installed), and times all rows beside PyTorch. One JSON file is left.
#   tools/gpu_run.sh OUT.json [seconds for the tests, 150]
# LAMELLA_EMULATE=1: the same on the emulated device, a few tests and tiny sizes: a check of this script.
set -euo pipefail
cd "$(dirname "$0")/.."
out=$(realpath -m "$1") limit=${2:-150} build=$(mktemp -d)
trap 'rm -rf "$build"' EXIT
tests=(tests/test_cuda.py tests/test_cuda_runtime.py) failed=0 few=(-k "test_training or test_graph or test_pinned") bench=()
if [ -n "${LAMELLA_EMULATE:-}" ]; then
  cuda=(-DLAMELLA_CUDA=EMULATE) bench=(--tiny) tests+=("${few[@]}")
else
  arch=$(nvidia-smi --query-gpu=compute_cap --format=csv,noheader | head -1 | tr -d .)
  [ "$arch" = 90 ] && arch=90a
  cuda=(-DLAMELLA_CUDA=ON "-DLAMELLA_CUDA_ARCHS=$arch-real")
fi
note() { python3 - "$build/also.json" "$@" <<'PY'
import json, pathlib, sys
path, name, *values = sys.argv[1:]
file = pathlib.Path(path)
known = json.loads(file.read_text()) if file.exists() else {}
file.write_text(json.dumps({**known, name: dict(v.split("=", 1) for v in values)}))
PY
}
# what NAME SECONDS COMMAND...: its last line and its exit status go into the report
what() {
  local name=$1 seconds=$2 code=0
  shift 2
  timeout "$seconds" "$@" >"$build/$name" 2>&1 || code=$?
  tail -60 "$build/$name"
  [ "$code" = 0 ] || failed=1
  note "$name" "exit=$code" "says=$(tail -1 "$build/$name")"
  echo "$name: exit $code after $SECONDS s"
}

cmake -S . -B "$build" -G Ninja "${cuda[@]}" -DLAMELLA_ONLY_ISA=v3 -Dpybind11_DIR="$(python3 -m pybind11 --cmakedir)" >/dev/null
cmake --build "$build" --target _core _cuda >"$build/log" 2>&1 || { tail -50 "$build/log"; exit 1; }
cp -r python "$build/site"
rm -f "$build"/site/lamella/*.so
cp "$build"/_core*.so "$build"/cuda/_cuda.so "$build/site/lamella/"
export PYTHONPATH=$build/site
note build "seconds=$SECONDS"
echo "built after $SECONDS s"
python3 -c 'from lamella import cuda; print(cuda.get_device_name(), cuda.get_device_capability())'
pytest=(python3 -m pytest -q -p no:cacheprovider)
what tests "$limit" "${pytest[@]}" --maxfail=50 "${tests[@]}"
if command -v compute-sanitizer >/dev/null; then
  for tool in memcheck racecheck; do
    what $tool 60 compute-sanitizer --tool $tool --error-exitcode 9 "${pytest[@]}" tests/test_cuda.py tests/test_cuda_runtime.py "${few[@]}"
  done
fi
python3 -m bench.gpu "${bench[@]}" --also "$build/also.json" --json "$out"
echo "done after $SECONDS s"
exit $failed
