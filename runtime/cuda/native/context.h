// One device in use: its primary context, one stream, and everything made on it by number. Numbers, not
// addresses, cross into JavaScript, so that a stale or foreign one is refused and never dereferenced.
// All functions must be called on the thread that made the context, except `isFinished`.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "driver-api.h"
#include "libraries.h"
#include "memory.h"

namespace statefuse {

struct LaunchDescription {
  uint64_t function = 0;
  std::array<unsigned int, 3> grid{};
  unsigned int block = 0;
  unsigned int sharedBytes = 0;
  std::vector<uint32_t> slots;
  std::vector<int32_t> uniforms;
};

// Where a kernel's pointer comes from: a place of the caller's list of blocks, an offset, the bytes used.
struct SlotDescription {
  uint32_t source = 0;
  uint64_t offset = 0;
  uint64_t bytes = 0;
};

struct PlanDescription {
  uint32_t sources = 0;
  std::vector<SlotDescription> slots;
  std::vector<LaunchDescription> launches;
};

struct DownloadedBytes {
  void* memory = nullptr;
  size_t bytes = 0;
};

class Context {
 public:
  Context(const DriverLibrary& library, int ordinal);
  ~Context() { close(); }
  Context(const Context&) = delete;
  Context& operator=(const Context&) = delete;

  uint64_t allocate(size_t bytes);
  void release(uint64_t block);
  void trim();
  std::array<uint64_t, 5> memoryUse();

  void upload(uint64_t block, size_t offset, const void* from, size_t bytes);
  void fill(uint64_t block, size_t offset, size_t bytes);
  void copy(uint64_t from, uint64_t to, size_t bytes);
  // Queues the copy; the numbers are there when an event recorded after it is done.
  uint64_t beginDownload(uint64_t block, size_t bytes);
  DownloadedBytes downloaded(uint64_t download) const;
  void endDownload(uint64_t download);

  uint64_t loadFunction(const void* image, const std::string& kernel, unsigned int sharedBytes);
  void unloadFunction(uint64_t function);

  uint64_t makePlan(const PlanDescription& description);
  void dropPlan(uint64_t plan);
  void launch(uint64_t plan, const double* blocks, size_t count);

  // Work queued between the two becomes a graph and does not run.
  void beginCapture();
  uint64_t endCapture();
  void abandonCapture();
  void launchGraph(uint64_t graph, unsigned int times);
  void dropGraph(uint64_t graph);

  uint64_t recordEvent(bool withTiming);
  void dropEvent(uint64_t event);
  float elapsed(uint64_t start, uint64_t end);
  EventHandle eventOf(uint64_t event) const;
  // From any thread.
  bool isFinished(EventHandle event) const;

  bool isOpen() const { return isOpen_; }
  // Waits for work in flight and gives everything back.
  void close();
  // Gives nothing back: for work that never ends.
  void abandon();

 private:
  struct Function {
    ModuleHandle module = nullptr;
    FunctionHandle handle = nullptr;
    std::string kernel;
  };
  struct PreparedLaunch {
    uint64_t functionId = 0;
    FunctionHandle function = nullptr;
    std::array<unsigned int, 3> grid{};
    unsigned int block = 0;
    unsigned int sharedBytes = 0;
    std::vector<void*> parameters;
    std::vector<int32_t> uniforms;
  };
  struct Plan {
    uint32_t sources = 0;
    std::vector<SlotDescription> slots;
    std::vector<DevicePointer> addresses;
    std::vector<PreparedLaunch> launches;
  };
  struct Event {
    EventHandle handle = nullptr;
    bool withTiming = false;
  };
  struct Graph {
    GraphExecHandle exec = nullptr;
    std::vector<uint64_t> blocks;
    std::vector<uint64_t> functions;
  };
  void use(const char* operation) const;
  const Block& within(uint64_t block, size_t offset, size_t bytes, const char* operation) const;
  void noteForGraph(const Plan& plan, const double* blocks);

  const DriverLibrary& library_;
  const DriverFunctions& driver_;
  DeviceOrdinal device_ = 0;
  ContextHandle context_ = nullptr;
  StreamHandle stream_ = nullptr;
  bool isOpen_ = false;
  bool isCapturing_ = false;
  std::unique_ptr<BlockCache> blocks_;
  std::unique_ptr<UploadRing> uploads_;
  std::unique_ptr<PinnedCache> pinned_;
  std::unordered_map<uint64_t, DownloadedBytes> downloads_;
  std::unordered_map<uint64_t, Function> functions_;
  std::unordered_map<uint64_t, std::unique_ptr<Plan>> plans_;
  std::unordered_map<uint64_t, Event> events_;
  std::vector<EventHandle> spareEvents_[2];
  std::unordered_map<uint64_t, Graph> graphs_;
  Graph captured_;
  uint64_t nextId_ = 1;
};

}  // namespace statefuse
