// The context's life, its memory and its events. Launches and graphs are in launches.cc.
#include "context.h"

#include <algorithm>
#include <cmath>

#include "failure.h"

namespace statefuse {

Context::Context(const DriverLibrary& library, int ordinal) : library_(library), driver_(library.functions) {
  check(driver_, driver_.deviceGet(&device_, ordinal), "cuDeviceGet");
  check(driver_, driver_.primaryContextRetain(&context_, device_), "cuDevicePrimaryCtxRetain");
  try {
    check(driver_, driver_.contextSetCurrent(context_), "cuCtxSetCurrent");
    check(driver_, driver_.streamCreate(&stream_, streamNonBlocking), "cuStreamCreate");
  } catch (...) {
    driver_.contextSetCurrent(nullptr);
    driver_.primaryContextRelease(device_);
    throw;
  }
  blocks_ = std::make_unique<BlockCache>(driver_);
  uploads_ = std::make_unique<UploadRing>(driver_, stream_);
  pinned_ = std::make_unique<PinnedCache>(driver_);
  isOpen_ = true;
}

void Context::use(const char* operation) const {
  if (!isOpen_) refuse(operation, "the context is closed");
  check(driver_, driver_.contextSetCurrent(context_), "cuCtxSetCurrent");
}

void Context::close() {
  if (!isOpen_) return;
  isOpen_ = false;
  // errors of earlier work come back from every call; what can be given back is given back all the same
  driver_.contextSetCurrent(context_);
  if (isCapturing_) abandonCapture();
  driver_.streamSynchronize(stream_);
  for (const auto& each : graphs_) driver_.graphExecDestroy(each.second.exec);
  for (const auto& each : functions_) driver_.moduleUnload(each.second.module);
  for (const auto& each : events_) driver_.eventDestroy(each.second.handle);
  for (auto& spare : spareEvents_) {
    for (EventHandle event : spare) driver_.eventDestroy(event);
    spare.clear();
  }
  for (const auto& each : downloads_) driver_.memFreeHost(each.second.memory);
  graphs_.clear();
  functions_.clear();
  events_.clear();
  downloads_.clear();
  plans_.clear();
  uploads_->clear();
  pinned_->clear();
  blocks_->clear();
  driver_.streamDestroy(stream_);
  driver_.contextSetCurrent(nullptr);
  driver_.primaryContextRelease(device_);
}

void Context::abandon() { isOpen_ = false; }

uint64_t Context::allocate(size_t bytes) {
  use("allocate");
  return blocks_->allocate(bytes);
}

void Context::release(uint64_t block) {
  if (isOpen_) blocks_->release(block);
}

void Context::trim() {
  use("trim");
  check(driver_, driver_.streamSynchronize(stream_), "cuStreamSynchronize");
  blocks_->trim();
  pinned_->clear();
}

std::array<uint64_t, 5> Context::memoryUse() {
  use("memoryUse");
  size_t freeBytes = 0;
  size_t total = 0;
  check(driver_, driver_.memGetInfo(&freeBytes, &total), "cuMemGetInfo");
  return {blocks_->usedBytes(), blocks_->count(), blocks_->cachedBytes(), freeBytes, total};
}

const Block& Context::within(uint64_t id, size_t offset, size_t bytes, const char* operation) const {
  const Block& block = blocks_->get(id, operation);
  if (offset > block.bytes || bytes > block.bytes - offset) refuse(operation, "beyond the end of block " + std::to_string(id));
  return block;
}

void Context::upload(uint64_t id, size_t offset, const void* from, size_t bytes) {
  use("upload");
  uploads_->upload(within(id, offset, bytes, "upload").address + offset, from, bytes);
}

void Context::fill(uint64_t id, size_t offset, size_t bytes) {
  use("fill");
  const Block& block = within(id, offset, bytes, "fill");
  if (bytes > 0) check(driver_, driver_.fillBytes(block.address + offset, 0, bytes, stream_), "cuMemsetD8Async");
}

void Context::copy(uint64_t from, uint64_t to, size_t bytes) {
  use("copy");
  const DevicePointer source = within(from, 0, bytes, "copy").address;
  const DevicePointer target = within(to, 0, bytes, "copy").address;
  if (bytes > 0) check(driver_, driver_.copyOnDevice(target, source, bytes, stream_), "cuMemcpyDtoDAsync");
}

uint64_t Context::beginDownload(uint64_t id, size_t bytes) {
  use("download");
  const DevicePointer source = within(id, 0, bytes, "download").address;
  void* memory = pinned_->take(bytes);
  const Result code = driver_.copyToHost(memory, source, bytes, stream_);
  if (code != success) pinned_->give(memory, bytes);
  check(driver_, code, "cuMemcpyDtoHAsync");
  const uint64_t download = nextId_++;
  downloads_.emplace(download, DownloadedBytes{memory, bytes});
  return download;
}

DownloadedBytes Context::downloaded(uint64_t download) const {
  const auto found = downloads_.find(download);
  if (!isOpen_ || found == downloads_.end()) refuse("downloaded", "no download " + std::to_string(download));
  return found->second;
}

void Context::endDownload(uint64_t download) {
  if (!isOpen_) return;
  const DownloadedBytes done = downloaded(download);
  downloads_.erase(download);
  driver_.contextSetCurrent(context_);
  pinned_->give(done.memory, done.bytes);
}

uint64_t Context::recordEvent(bool withTiming) {
  use("recordEvent");
  std::vector<EventHandle>& spare = spareEvents_[withTiming ? 1 : 0];
  EventHandle event = nullptr;
  if (spare.empty()) {
    check(driver_, driver_.eventCreate(&event, withTiming ? 0 : eventWithoutTiming), "cuEventCreate");
  } else {
    event = spare.back();
    spare.pop_back();
  }
  const Result code = driver_.eventRecord(event, stream_);
  if (code != success) spare.push_back(event);
  check(driver_, code, "cuEventRecord");
  const uint64_t id = nextId_++;
  events_.emplace(id, Event{event, withTiming});
  return id;
}

void Context::dropEvent(uint64_t id) {
  if (!isOpen_) return;
  const auto found = events_.find(id);
  if (found == events_.end()) refuse("dropEvent", "no event " + std::to_string(id));
  spareEvents_[found->second.withTiming ? 1 : 0].push_back(found->second.handle);
  events_.erase(found);
}

EventHandle Context::eventOf(uint64_t id) const {
  const auto found = events_.find(id);
  if (!isOpen_ || found == events_.end()) refuse("event", "no event " + std::to_string(id));
  return found->second.handle;
}

float Context::elapsed(uint64_t start, uint64_t end) {
  use("elapsed");
  float milliseconds = 0;
  check(driver_, driver_.eventElapsedTime(&milliseconds, eventOf(start), eventOf(end)), "cuEventElapsedTime");
  return milliseconds;
}

bool Context::isFinished(EventHandle event) const {
  check(driver_, driver_.contextSetCurrent(context_), "cuCtxSetCurrent");
  const Result code = driver_.eventQuery(event);
  if (code == notReady) return false;
  check(driver_, code, "cuEventQuery");
  return true;
}

}  // namespace statefuse
