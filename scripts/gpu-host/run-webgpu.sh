#!/bin/sh
# Runs the WebGPU suite of a folder that pack.sh made: unpacks it, finds the Vulkan driver, runs every
# workload in a process of its own, so that one that hangs or crashes does not stop the rest.
# usage: run-webgpu.sh [--small] [NAME…]
# OUT: folder for webgpu.jsonl and webgpu.log. LIMIT: seconds per workload (120). VK_DRIVER_FILES: the driver.
packed=$(cd "$(dirname "$0")" && pwd)
. "$packed/unpacked.sh"
place_program && place_webgpu || exit 1
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
