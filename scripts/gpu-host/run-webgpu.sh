#!/bin/sh
# Runs the WebGPU suite of a folder that pack.sh made: unpacks it, finds the Vulkan driver, runs every
# workload in a process of its own, so that one that hangs or crashes does not stop the rest.
# usage: run-webgpu.sh [--small] [NAME…]
# OUT: folder for webgpu.jsonl and webgpu.log. LIMIT: seconds per workload (120). VK_DRIVER_FILES: the driver.
packed=$(cd "$(dirname "$0")" && pwd)
export OUT="${OUT:-$PWD/out}"
mkdir -p "$OUT"
OUT=$(cd "$OUT" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

unpack() {
  if command -v xz > /dev/null; then xz -dc "$1"; else python3 -c 'import lzma, shutil, sys
shutil.copyfileobj(lzma.open(sys.argv[1]), sys.stdout.buffer)' "$1"; fi
}
unpack "$packed/program.tar.xz" | tar -C "$work" -xf - || exit 1
mkdir -p "$work/node_modules/webgpu/dist/linux-x64" "$work/lib"
unpack "$packed/dawn.node.xz" > "$work/node_modules/webgpu/dist/linux-x64/dawn.node" || exit 1
unpack "$packed/node.xz" > "$work/node" && chmod +x "$work/node" || exit 1

# the host's own loader first: it is as new as its driver
if ! ldconfig -p 2> /dev/null | grep -q 'libvulkan\.so\.1' && [ -e "$packed/libvulkan.so.1.xz" ]; then
  unpack "$packed/libvulkan.so.1.xz" > "$work/lib/libvulkan.so.1"
  export LD_LIBRARY_PATH="$work/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
fi
if [ -z "${VK_DRIVER_FILES:-}${VK_ICD_FILENAMES:-}" ]; then
  for driver in /usr/local/nvidia/share/vulkan/icd.d /usr/share/vulkan/icd.d /etc/vulkan/icd.d; do
    [ -e "$driver/nvidia_icd.json" ] && export VK_DRIVER_FILES="$driver/nvidia_icd.json" && break
  done
fi
export XDG_RUNTIME_DIR="${XDG_RUNTIME_DIR:-$work}"
echo "driver: ${VK_DRIVER_FILES:-${VK_ICD_FILENAMES:-as the loader finds it}}; loader: $([ -e "$work/lib/libvulkan.so.1" ] && echo packed || echo "of the host")"

cd "$work" || exit 1
flags=''
names=''
for word in "$@"; do
  case "$word" in
    --*) flags="$flags $word" ;;
    *) names="$names $word" ;;
  esac
done
suite=js/scripts/gpu-host/webgpu-suite.js
# shellcheck disable=SC2086
[ -n "$names" ] || names=$(./node $suite --list) || exit 1
: > "$OUT/webgpu.log"
: > "$OUT/webgpu.jsonl"
status=0
for name in $names; do
  # shellcheck disable=SC2086
  timeout "${LIMIT:-120}" ./node $suite $flags "$name" > "$work/log" 2>&1
  code=$?
  if [ $code -ne 0 ]; then
    status=1
    echo "$name: exit status $code" >> "$work/log"
    echo "{\"kind\":\"exit\",\"workload\":\"$name\",\"status\":$code}" >> "$OUT/webgpu.jsonl"
  fi
  tee -a "$OUT/webgpu.log" < "$work/log"
done
exit $status
