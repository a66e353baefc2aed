// Kernels, plans of launches and graphs of a context. A plan is a run of an entry point with everything
// worked out but the addresses, so that a run costs one call from JavaScript.
#include <cmath>

#include "context.h"
#include "failure.h"

namespace statefuse {

uint64_t Context::loadFunction(const void* image, const std::string& kernel, unsigned int sharedBytes) {
  use("loadFunction");
  Function function;
  function.kernel = kernel;
  check(driver_, driver_.moduleLoadData(&function.module, image), "cuModuleLoadData", kernel);
  try {
    check(driver_, driver_.moduleGetFunction(&function.handle, function.module, kernel.c_str()), "cuModuleGetFunction", kernel);
    if (sharedBytes > 0) {
      const int bytes = static_cast<int>(sharedBytes);
      check(driver_, driver_.functionSetAttribute(function.handle, attributeMaxDynamicSharedBytes, bytes), "cuFuncSetAttribute", kernel);
    }
  } catch (...) {
    driver_.moduleUnload(function.module);
    throw;
  }
  const uint64_t id = nextId_++;
  functions_.emplace(id, function);
  return id;
}

void Context::unloadFunction(uint64_t id) {
  if (!isOpen_) return;
  const auto found = functions_.find(id);
  if (found == functions_.end()) refuse("unloadFunction", "no function " + std::to_string(id));
  driver_.contextSetCurrent(context_);
  driver_.streamSynchronize(stream_);
  driver_.moduleUnload(found->second.module);
  functions_.erase(found);
}

uint64_t Context::makePlan(const PlanDescription& description) {
  use("makePlan");
  auto plan = std::make_unique<Plan>();
  plan->sources = description.sources;
  plan->slots = description.slots;
  plan->addresses.resize(description.slots.size());
  for (const SlotDescription& slot : description.slots) {
    if (slot.source >= description.sources) refuse("makePlan", "a slot without a source");
  }
  plan->launches.reserve(description.launches.size());
  for (const LaunchDescription& each : description.launches) {
    const auto function = functions_.find(each.function);
    if (function == functions_.end()) refuse("makePlan", "no function " + std::to_string(each.function));
    PreparedLaunch& launch = plan->launches.emplace_back();
    launch.functionId = each.function;
    launch.function = function->second.handle;
    launch.grid = each.grid;
    launch.block = each.block;
    launch.sharedBytes = each.sharedBytes;
    launch.uniforms = each.uniforms;
    for (const uint32_t slot : each.slots) {
      if (slot >= plan->slots.size()) refuse("makePlan", "no slot " + std::to_string(slot));
      launch.parameters.push_back(&plan->addresses[slot]);
    }
    for (int32_t& uniform : launch.uniforms) launch.parameters.push_back(&uniform);
  }
  const uint64_t id = nextId_++;
  plans_.emplace(id, std::move(plan));
  return id;
}

void Context::dropPlan(uint64_t id) {
  if (isOpen_ && plans_.erase(id) == 0) refuse("dropPlan", "no plan " + std::to_string(id));
}

void Context::launch(uint64_t id, const double* blocks, size_t count) {
  use("launch");
  const auto found = plans_.find(id);
  if (found == plans_.end()) refuse("launch", "no plan " + std::to_string(id));
  Plan& plan = *found->second;
  if (count != plan.sources) refuse("launch", "wrong number of blocks");
  for (size_t at = 0; at < plan.slots.size(); at++) {
    const SlotDescription& slot = plan.slots[at];
    const double block = blocks[slot.source];
    // empty tensors have no memory
    if (slot.bytes == 0) plan.addresses[at] = 0;
    else plan.addresses[at] = within(static_cast<uint64_t>(block), slot.offset, slot.bytes, "launch").address + slot.offset;
  }
  for (PreparedLaunch& each : plan.launches) {
    const auto function = functions_.find(each.functionId);
    if (function == functions_.end()) refuse("launch", "a kernel was unloaded");
    const Result code = driver_.launchKernel(each.function, each.grid[0], each.grid[1], each.grid[2], each.block, 1, 1,
                                             each.sharedBytes, stream_, each.parameters.data(), nullptr);
    if (code != success) check(driver_, code, "cuLaunchKernel", function->second.kernel);
  }
  if (isCapturing_) noteForGraph(plan, blocks);
}

// What a graph refers to must still be there when it is launched.
void Context::noteForGraph(const Plan& plan, const double* blocks) {
  for (const SlotDescription& slot : plan.slots) {
    if (slot.bytes > 0) captured_.blocks.push_back(static_cast<uint64_t>(blocks[slot.source]));
  }
  for (const PreparedLaunch& each : plan.launches) captured_.functions.push_back(each.functionId);
}

void Context::beginCapture() {
  use("beginCapture");
  if (isCapturing_) refuse("beginCapture", "a capture is open");
  check(driver_, driver_.streamBeginCapture(stream_, captureThreadLocal), "cuStreamBeginCapture");
  isCapturing_ = true;
  captured_ = Graph();
}

uint64_t Context::endCapture() {
  use("endCapture");
  if (!isCapturing_) refuse("endCapture", "no capture is open");
  isCapturing_ = false;
  GraphHandle graph = nullptr;
  const Result ended = driver_.streamEndCapture(stream_, &graph);
  GraphExecHandle exec = nullptr;
  Result instantiated = success;
  if (ended == success) instantiated = driver_.graphInstantiate(&exec, graph, 0);
  if (graph != nullptr) driver_.graphDestroy(graph);
  check(driver_, ended, "cuStreamEndCapture");
  check(driver_, instantiated, "cuGraphInstantiateWithFlags");
  const uint64_t id = nextId_++;
  Graph& kept = graphs_.emplace(id, std::move(captured_)).first->second;
  kept.exec = exec;
  captured_ = Graph();
  return id;
}

void Context::abandonCapture() {
  if (!isCapturing_) return;
  isCapturing_ = false;
  captured_ = Graph();
  GraphHandle graph = nullptr;
  driver_.contextSetCurrent(context_);
  driver_.streamEndCapture(stream_, &graph);
  if (graph != nullptr) driver_.graphDestroy(graph);
}

void Context::launchGraph(uint64_t id, unsigned int times) {
  use("launchGraph");
  const auto found = graphs_.find(id);
  if (found == graphs_.end()) refuse("launchGraph", "no graph " + std::to_string(id));
  for (const uint64_t block : found->second.blocks) blocks_->get(block, "launchGraph");
  for (const uint64_t function : found->second.functions) {
    if (functions_.find(function) == functions_.end()) refuse("launchGraph", "a kernel was unloaded");
  }
  for (unsigned int time = 0; time < times; time++) {
    check(driver_, driver_.graphLaunch(found->second.exec, stream_), "cuGraphLaunch");
  }
}

void Context::dropGraph(uint64_t id) {
  if (!isOpen_) return;
  const auto found = graphs_.find(id);
  if (found == graphs_.end()) refuse("dropGraph", "no graph " + std::to_string(id));
  driver_.contextSetCurrent(context_);
  driver_.streamSynchronize(stream_);
  driver_.graphExecDestroy(found->second.exec);
  graphs_.erase(found);
}

}  // namespace statefuse
