#!/bin/sh
# Packs what a GPU host without network needs into a folder: Node, the compiled program with its packages,
# and for WebGPU Dawn and the Vulkan loader, for CUDA the addon. For linux-x64. Needs `npm ci`, xz, and apt
# for the loader. NODE_XZ names a packed Node that is there already and is then left out.
# usage: pack.sh [--cuda] DIRECTORY   (then there: DIRECTORY/run-webgpu.sh or DIRECTORY/run-cuda.sh)
set -eu
suite=webgpu
[ "${1:-}" != --cuda ] || { suite=cuda; shift; }
[ $# -eq 1 ] || { echo 'usage: pack.sh [--cuda] DIRECTORY' >&2; exit 2; }
mkdir -p "$1"
target=$(cd "$1" && pwd)
cd "$(dirname "$0")/../.."
root=$PWD
stage=$(mktemp -d)
trap 'rm -rf "$stage"' EXIT

# compressing takes minutes: what is newer than its source stays
compressed() { [ "$2" -nt "$1" ] || { xz -6 -T0 -c "$1" > "$2.part" && mv "$2.part" "$2"; }; }
[ -n "${NODE_XZ:-}" ] || compressed "$(node -p process.execPath)" "$target/node.xz"
[ $suite = cuda ] || compressed node_modules/webgpu/dist/linux-x64/dawn.node "$target/dawn.node.xz"

npx tsc -p tsconfig.json --noEmit false --declaration false --isolatedDeclarations false --outDir "$stage/js" \
  || echo 'pack: packed in spite of the type errors above' >&2
rm -rf "$stage/js/test"
node_modules/.bin/esbuild scripts/random-layers.ts --bundle --platform=node --format=esm --external:webgpu --log-level=warning \
  --outfile="$stage/js/random-layers.js"
mkdir "$stage/examples" "$stage/node_modules" "$stage/node_modules/webgpu"
cp examples/*.ssm "$stage/examples/"
cp package.json "$stage/"
cp node_modules/webgpu/package.json node_modules/webgpu/index.js node_modules/webgpu/LICENSE.md "$stage/node_modules/webgpu/"
for package in chevrotain @chevrotain lodash-es commander; do cp -R "node_modules/$package" "$stage/node_modules/"; done
find "$stage/node_modules" \( -name '*.map' -o -name '*.d.ts' \) -delete
if [ $suite = cuda ]; then
  sh scripts/build-cuda.sh
  mkdir -p "$stage/js/build/cuda"
  cp build/cuda/statefuse_cuda.node "$stage/js/build/cuda/"
fi
tar -C "$stage" -cf - js examples node_modules package.json | xz -6 > "$target/program.tar.xz"

if [ $suite = webgpu ] && [ ! -e "$target/libvulkan.so.1.xz" ]; then
  if (cd "$stage" && apt-get -qq download libvulkan1 2>/dev/null && dpkg -x libvulkan1_*.deb loader); then
    xz -c "$stage"/loader/usr/lib/*/libvulkan.so.1 > "$target/libvulkan.so.1.xz"
  else
    echo 'pack: apt has no libvulkan1; the host must bring its own Vulkan loader' >&2
  fi
fi
cp "$root/scripts/gpu-host/run-$suite.sh" "$root/scripts/gpu-host/unpacked.sh" "$target/"
chmod +x "$target/run-$suite.sh"
du -k -s "$target" | awk '{ printf "packed %.1f MiB\n", $1 / 1024; if ($1 > 45 * 1024) { print "pack: above 45 MiB"; exit 1 } }'
