// Caches of device memory and of page-locked host memory.
#include "memory.h"

#include <algorithm>
#include <cstring>

#include "failure.h"

namespace statefuse {
namespace {

// The next size of which there are eight between powers of two: at most an eighth is wasted.
size_t sizeClass(size_t bytes) {
  constexpr size_t smallest = 512;
  if (bytes <= smallest) return smallest;
  size_t power = smallest;
  while (power < bytes / 2 + bytes % 2) power *= 2;
  const size_t step = std::max(smallest, power / 8);
  return (bytes + step - 1) / step * step;
}

// Powers of two as far as pieces are kept; larger ones in steps of 2 MiB.
size_t pinnedClass(size_t bytes, size_t largestKept) {
  constexpr size_t step = size_t(2) << 20;
  if (bytes > largestKept) return (bytes + step - 1) / step * step;
  size_t power = 4096;
  while (power < bytes) power *= 2;
  return power;
}

}  // namespace

DevicePointer BlockCache::obtain(size_t rounded) {
  const auto kept = cache_.find(rounded);
  if (kept != cache_.end() && !kept->second.empty()) {
    const DevicePointer address = kept->second.back();
    kept->second.pop_back();
    cachedBytes_ -= rounded;
    return address;
  }
  DevicePointer address = 0;
  Result code = driver_.memAlloc(&address, rounded);
  if (code == outOfMemory && cachedBytes_ > 0) {
    trim();
    code = driver_.memAlloc(&address, rounded);
  }
  if (code == success) return address;
  try {
    check(driver_, code, "cuMemAlloc");
  } catch (Failure& failure) {
    size_t freeBytes = 0;
    size_t total = 0;
    if (driver_.memGetInfo(&freeBytes, &total) == success) failure.freeBytes = freeBytes;
    failure.bytes = rounded;
    throw;
  }
  return 0;
}

uint64_t BlockCache::allocate(size_t bytes) {
  const DevicePointer address = obtain(sizeClass(bytes));
  const uint64_t id = nextId_++;
  blocks_.emplace(id, Block{address, bytes});
  usedBytes_ += sizeClass(bytes);
  return id;
}

void BlockCache::release(uint64_t id) {
  const Block block = get(id, "free");
  const size_t rounded = sizeClass(block.bytes);
  blocks_.erase(id);
  usedBytes_ -= rounded;
  cache_[rounded].push_back(block.address);
  cachedBytes_ += rounded;
}

const Block& BlockCache::get(uint64_t id, const char* operation) const {
  const auto found = blocks_.find(id);
  if (found == blocks_.end()) refuse(operation, "no block " + std::to_string(id));
  return found->second;
}

void BlockCache::trim() {
  for (const auto& kept : cache_) {
    for (const DevicePointer address : kept.second) driver_.memFree(address);
  }
  cache_.clear();
  cachedBytes_ = 0;
}

void BlockCache::clear() {
  trim();
  for (const auto& each : blocks_) driver_.memFree(each.second.address);
  blocks_.clear();
  usedBytes_ = 0;
}

// To the next piece, once the copies out of it are done.
void UploadRing::advance() {
  Piece& full = pieces_[current_];
  if (used_ > 0) {
    check(driver_, driver_.eventRecord(full.done, stream_), "cuEventRecord");
    full.isPending = true;
    current_ = (current_ + 1) % pieceCount;
    used_ = 0;
  }
  Piece& next = pieces_[current_];
  if (next.memory == nullptr) check(driver_, driver_.memHostAlloc(&next.memory, pieceBytes, 0), "cuMemHostAlloc");
  if (next.done == nullptr) check(driver_, driver_.eventCreate(&next.done, eventWithoutTiming), "cuEventCreate");
  if (next.isPending) check(driver_, driver_.eventSynchronize(next.done), "cuEventSynchronize");
  next.isPending = false;
}

void UploadRing::upload(DevicePointer to, const void* from, size_t bytes) {
  const char* source = static_cast<const char*>(from);
  for (size_t done = 0; done < bytes;) {
    if (pieces_[current_].done == nullptr || used_ == pieceBytes) advance();
    const size_t count = std::min(bytes - done, pieceBytes - used_);
    char* piece = static_cast<char*>(pieces_[current_].memory) + used_;
    std::memcpy(piece, source + done, count);
    // the place counts as used before the copy, which may begin and still report an error of earlier work
    used_ = std::min(pieceBytes, (used_ + count + 255) / 256 * 256);
    check(driver_, driver_.copyToDevice(to + done, piece, count, stream_), "cuMemcpyHtoDAsync");
    done += count;
  }
}

void UploadRing::clear() {
  for (Piece& piece : pieces_) {
    if (piece.done != nullptr) driver_.eventDestroy(piece.done);
    if (piece.memory != nullptr) driver_.memFreeHost(piece.memory);
    piece = Piece();
  }
  used_ = 0;
}

void* PinnedCache::take(size_t bytes) {
  const size_t rounded = pinnedClass(bytes, keptBytes);
  std::vector<void*>& kept = cache_[rounded];
  if (!kept.empty()) {
    void* memory = kept.back();
    kept.pop_back();
    cachedBytes_ -= rounded;
    return memory;
  }
  void* memory = nullptr;
  check(driver_, driver_.memHostAlloc(&memory, rounded, 0), "cuMemHostAlloc");
  return memory;
}

void PinnedCache::give(void* memory, size_t bytes) {
  const size_t rounded = pinnedClass(bytes, keptBytes);
  if (cachedBytes_ + rounded > keptBytes) {
    driver_.memFreeHost(memory);
    return;
  }
  cache_[rounded].push_back(memory);
  cachedBytes_ += rounded;
}

void PinnedCache::clear() {
  for (const auto& kept : cache_) {
    for (void* memory : kept.second) driver_.memFreeHost(memory);
  }
  cache_.clear();
  cachedBytes_ = 0;
}

}  // namespace statefuse
