# Read by run-*.sh beside it, with `packed` set to the folder of a pack: makes OUT, a folder for results, and a folder
# `work` that goes away at the end, and defines how what was packed gets there.
export OUT="${OUT:-$PWD/out}"
mkdir -p "$OUT"
OUT=$(cd "$OUT" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# unpack FILE: to the output; hosts without xz have Python
unpack() {
  if command -v xz > /dev/null; then xz -dc "$1"; else python3 -c 'import lzma, shutil, sys
shutil.copyfileobj(lzma.open(sys.argv[1]), sys.stdout.buffer)' "$1"; fi
}

# the compiled program and Node: $work/js, $work/node
place_program() {
  unpack "$packed/program.tar.xz" | tar -C "$work" -xf - || return 1
  unpack "${NODE_XZ:-$packed/node.xz}" > "$work/node" && chmod +x "$work/node"
}

# Dawn, and a Vulkan loader and driver where the environment names none; the host's own loader first: it is as new as
# its driver
place_webgpu() {
  mkdir -p "$work/node_modules/webgpu/dist/linux-x64" "$work/lib"
  unpack "$packed/dawn.node.xz" > "$work/node_modules/webgpu/dist/linux-x64/dawn.node" || return 1
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
}
