#!/usr/bin/env bash
# Gives the tests a WebGPU device: where no Vulkan driver is found, Debian's chromium brings a software
# one (SwiftShader). Installs it only as root with apt at hand, never asks, and never fails: without a
# device the tests that need one are skipped and say so (or fail, where CI is set).
set -u

has_driver() {
  [ -n "${VK_ICD_FILENAMES:-}${VK_DRIVER_FILES:-}" ] && return 0
  [ -e /usr/lib/chromium/vk_swiftshader_icd.json ] && return 0
  # drivers of real GPUs; llvmpipe and the like come without a loader in minimal images
  [ -e /proc/driver/nvidia/version ] && ls /usr/share/vulkan/icd.d/*.json /etc/vulkan/icd.d/*.json >/dev/null 2>&1
}

if [ "$(uname -s)" != Linux ] || has_driver; then
  echo 'test devices: nothing to install'
  exit 0
fi
if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
  echo 'test devices: no Vulkan driver found; install chromium (Debian, Ubuntu: as root) to test WebGPU'
  exit 0
fi
echo 'test devices: installing chromium for its software Vulkan driver'
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium >/dev/null
if [ -e /usr/lib/chromium/vk_swiftshader_icd.json ]; then
  echo 'test devices: chromium is installed'
else
  echo 'test devices: chromium could not be installed; tests on WebGPU will be skipped'
fi
exit 0
