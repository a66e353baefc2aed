// Memory of one device. Blocks go back to a cache and are handed out again in the order of the stream,
// so that freeing needs no wait; pinned host memory carries numbers to and from the device.
#pragma once

#include <cstdint>
#include <map>
#include <unordered_map>
#include <vector>

#include "driver-api.h"

namespace statefuse {

struct Block {
  DevicePointer address = 0;
  // as asked for; the memory behind it is rounded up
  size_t bytes = 0;
};

// Device memory with a cache by size class. All work on the blocks must be on one stream.
class BlockCache {
 public:
  explicit BlockCache(const DriverFunctions& driver) : driver_(driver) {}
  BlockCache(const BlockCache&) = delete;
  BlockCache& operator=(const BlockCache&) = delete;

  // An identifier that is never used again; throws a Failure with the bytes asked for and free.
  uint64_t allocate(size_t bytes);
  // Throws for an identifier that is not in use.
  void release(uint64_t id);
  const Block& get(uint64_t id, const char* operation) const;
  size_t usedBytes() const { return usedBytes_; }
  size_t cachedBytes() const { return cachedBytes_; }
  size_t count() const { return blocks_.size(); }
  // Gives the cache back to the driver; waits for work in flight.
  void trim();
  // Gives everything back.
  void clear();

 private:
  DevicePointer obtain(size_t rounded);
  const DriverFunctions& driver_;
  std::unordered_map<uint64_t, Block> blocks_;
  std::map<size_t, std::vector<DevicePointer>> cache_;
  uint64_t nextId_ = 1;
  size_t usedBytes_ = 0;
  size_t cachedBytes_ = 0;
};

// Page-locked pieces of memory that uploads pass through, each used again when its copies are done.
class UploadRing {
 public:
  UploadRing(const DriverFunctions& driver, StreamHandle stream) : driver_(driver), stream_(stream) {}
  UploadRing(const UploadRing&) = delete;
  UploadRing& operator=(const UploadRing&) = delete;

  // Returns when the numbers are out of the caller's memory.
  void upload(DevicePointer to, const void* from, size_t bytes);
  void clear();

 private:
  struct Piece {
    void* memory = nullptr;
    EventHandle done = nullptr;
    bool isPending = false;
  };
  void advance();
  static constexpr size_t pieceBytes = size_t(4) << 20;
  static constexpr size_t pieceCount = 3;
  const DriverFunctions& driver_;
  StreamHandle stream_;
  Piece pieces_[pieceCount];
  size_t current_ = 0;
  size_t used_ = 0;
};

// Page-locked memory that downloads land in, by powers of two. Taking it from the system is slow,
// so that it is kept up to a limit.
class PinnedCache {
 public:
  explicit PinnedCache(const DriverFunctions& driver) : driver_(driver) {}
  PinnedCache(const PinnedCache&) = delete;
  PinnedCache& operator=(const PinnedCache&) = delete;

  void* take(size_t bytes);
  void give(void* memory, size_t bytes);
  void clear();

 private:
  static constexpr size_t keptBytes = size_t(256) << 20;
  const DriverFunctions& driver_;
  std::map<size_t, std::vector<void*>> cache_;
  size_t cachedBytes_ = 0;
};

}  // namespace statefuse
