/* The functions of the CUDA driver that the runtime uses, on host memory; all work is done when it is queued. */
#include "mock.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

typedef int CUresult;
typedef unsigned long long CUdeviceptr;

typedef struct { int tag; } handle;
typedef struct { char text[1 << 12]; } module;
typedef struct { char kernel[64]; int arguments; } function_record;
typedef struct { function_record function; unsigned int grid[3]; unsigned int block; unsigned int shared; unsigned long long values[64]; } node;
typedef struct { int count; node nodes[64]; } graph;

static graph* capturing;
static const char code_mark[] = "MOCK CUBIN\n";

#define ENTER(name)                      \
  do {                                   \
    const int injected = mock_enter(name); \
    if (injected != 0) return injected;  \
  } while (0)

/* A call that gives something back does so even when it reports an error of earlier work. */
#define ENTER_RELEASE(name) const int injected = mock_enter(name)

static void* make(int kind, size_t bytes) {
  mock.alive[kind]++;
  return calloc(1, bytes);
}

static void destroy(int kind, void* thing) {
  mock.alive[kind]--;
  free(thing);
}

CUresult cuGetErrorName(CUresult code, const char** text) {
  switch (code) {
    case 1: *text = "CUDA_ERROR_INVALID_VALUE"; return 0;
    case 2: *text = "CUDA_ERROR_OUT_OF_MEMORY"; return 0;
    case 100: *text = "CUDA_ERROR_NO_DEVICE"; return 0;
    case 200: *text = "CUDA_ERROR_INVALID_IMAGE"; return 0;
    case 209: *text = "CUDA_ERROR_NO_BINARY_FOR_GPU"; return 0;
    case 700: *text = "CUDA_ERROR_ILLEGAL_ADDRESS"; return 0;
    case 701: *text = "CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES"; return 0;
    case 719: *text = "CUDA_ERROR_LAUNCH_FAILED"; return 0;
    default: *text = NULL; return 1;
  }
}
CUresult cuGetErrorString(CUresult code, const char** text) {
  *text = code == 2 ? "out of memory" : "the mock says so";
  return 0;
}
CUresult cuInit(unsigned int flags) { (void)flags; ENTER("cuInit"); return 0; }
CUresult cuDriverGetVersion(int* version) { ENTER("cuDriverGetVersion"); *version = mock.driver_version; return 0; }
CUresult cuDeviceGetCount(int* count) { ENTER("cuDeviceGetCount"); *count = mock.devices; return 0; }
CUresult cuDeviceGet(int* device, int ordinal) {
  ENTER("cuDeviceGet");
  if (ordinal >= mock.devices) return 101;
  *device = ordinal;
  return 0;
}
CUresult cuDeviceGetName(char* name, int length, int device) {
  (void)device;
  ENTER("cuDeviceGetName");
  strncpy(name, "Mock GPU", (size_t)length);
  return 0;
}
CUresult cuDeviceGetAttribute(int* value, int attribute, int device) {
  (void)device;
  ENTER("cuDeviceGetAttribute");
  switch (attribute) {
    case 75: *value = mock.compute_major; return 0;
    case 76: *value = mock.compute_minor; return 0;
    case 1: *value = 1024; return 0;
    case 5: *value = 2147483647; return 0;
    case 6: case 7: *value = 65535; return 0;
    case 8: *value = 49152; return 0;
    case 97: *value = 232448; return 0;
    case 10: *value = 32; return 0;
    default: *value = 1; return 0;
  }
}
CUresult cuDeviceTotalMem_v2(size_t* bytes, int device) { (void)device; ENTER("cuDeviceTotalMem"); *bytes = mock.memory_bytes; return 0; }
CUresult cuDevicePrimaryCtxRetain(void** context, int device) {
  (void)device;
  ENTER("cuDevicePrimaryCtxRetain");
  static handle primary;
  mock.alive[kind_context]++;
  *context = &primary;
  return 0;
}
CUresult cuDevicePrimaryCtxRelease_v2(int device) { (void)device; ENTER_RELEASE("cuDevicePrimaryCtxRelease"); mock.alive[kind_context]--; return injected; }
CUresult cuCtxSetCurrent(void* context) { (void)context; ENTER("cuCtxSetCurrent"); return 0; }
CUresult cuMemGetInfo_v2(size_t* free_bytes, size_t* total) {
  ENTER("cuMemGetInfo");
  *free_bytes = mock.memory_bytes - mock.used_bytes;
  *total = mock.memory_bytes;
  return 0;
}
CUresult cuMemAlloc_v2(CUdeviceptr* address, size_t bytes) {
  ENTER("cuMemAlloc");
  if (bytes > mock.memory_bytes - mock.used_bytes) return 2;
  mock.used_bytes += bytes;
  size_t* memory = make(kind_memory, bytes + 16);
  if (memory == NULL) return 2;
  memory[0] = bytes;
  /* not zero, as on a device */
  memset(memory + 2, 0xcd, bytes);
  *address = (CUdeviceptr)(uintptr_t)(memory + 2);
  return 0;
}
CUresult cuMemFree_v2(CUdeviceptr address) {
  ENTER_RELEASE("cuMemFree");
  size_t* memory = (size_t*)(uintptr_t)address - 2;
  mock.used_bytes -= memory[0];
  destroy(kind_memory, memory);
  return injected;
}
CUresult cuMemHostAlloc(void** address, size_t bytes, unsigned int flags) { (void)flags; ENTER("cuMemHostAlloc"); *address = make(kind_host_memory, bytes); return 0; }
CUresult cuMemFreeHost(void* address) { ENTER_RELEASE("cuMemFreeHost"); destroy(kind_host_memory, address); return injected; }
CUresult cuMemcpyHtoDAsync_v2(CUdeviceptr to, const void* from, size_t bytes, void* stream) {
  (void)stream;
  ENTER("cuMemcpyHtoDAsync");
  memcpy((void*)(uintptr_t)to, from, bytes);
  return 0;
}
CUresult cuMemcpyDtoHAsync_v2(void* to, CUdeviceptr from, size_t bytes, void* stream) {
  (void)stream;
  ENTER("cuMemcpyDtoHAsync");
  memcpy(to, (const void*)(uintptr_t)from, bytes);
  return 0;
}
CUresult cuMemcpyDtoDAsync_v2(CUdeviceptr to, CUdeviceptr from, size_t bytes, void* stream) {
  (void)stream;
  ENTER("cuMemcpyDtoDAsync");
  memcpy((void*)(uintptr_t)to, (const void*)(uintptr_t)from, bytes);
  return 0;
}
CUresult cuMemsetD8Async(CUdeviceptr to, unsigned char value, size_t bytes, void* stream) {
  (void)stream;
  ENTER("cuMemsetD8Async");
  memset((void*)(uintptr_t)to, value, bytes);
  return 0;
}
CUresult cuStreamCreate(void** stream, unsigned int flags) { (void)flags; ENTER("cuStreamCreate"); *stream = make(kind_stream, sizeof(handle)); return 0; }
CUresult cuStreamDestroy_v2(void* stream) { ENTER_RELEASE("cuStreamDestroy"); destroy(kind_stream, stream); return injected; }
CUresult cuStreamSynchronize(void* stream) { (void)stream; ENTER("cuStreamSynchronize"); return 0; }
CUresult cuEventCreate(void** event, unsigned int flags) { (void)flags; ENTER("cuEventCreate"); *event = make(kind_event, sizeof(handle)); return 0; }
CUresult cuEventDestroy_v2(void* event) { ENTER_RELEASE("cuEventDestroy"); destroy(kind_event, event); return injected; }
CUresult cuEventRecord(void* event, void* stream) { (void)event; (void)stream; ENTER("cuEventRecord"); return 0; }
CUresult cuEventQuery(void* event) {
  (void)event;
  ENTER("cuEventQuery");
  if (mock.pending_queries == 0) return 0;
  mock.pending_queries--;
  return 600;
}
CUresult cuEventSynchronize(void* event) { (void)event; ENTER("cuEventSynchronize"); return 0; }
CUresult cuEventElapsedTime(float* milliseconds, void* start, void* end) { (void)start; (void)end; ENTER("cuEventElapsedTime"); *milliseconds = 0.25f; return 0; }
CUresult cuModuleLoadData(void** loaded, const void* image) {
  ENTER("cuModuleLoadData");
  if (strncmp(image, code_mark, sizeof(code_mark) - 1) != 0) return 200;
  module* made = make(kind_module, sizeof(module));
  strncpy(made->text, (const char*)image + sizeof(code_mark) - 1, sizeof(made->text) - 1);
  *loaded = made;
  return 0;
}
CUresult cuModuleUnload(void* loaded) { ENTER_RELEASE("cuModuleUnload"); destroy(kind_module, loaded); return injected; }
/* Functions live as long as their module; a few are enough. */
CUresult cuModuleGetFunction(void** function, void* loaded, const char* name) {
  ENTER("cuModuleGetFunction");
  static function_record records[4096];
  static int next;
  if (strcmp(((module*)loaded)->text, name) != 0) return 500;
  function_record* record = &records[next++ % 4096];
  strncpy(record->kernel, name, sizeof(record->kernel) - 1);
  *function = record;
  return 0;
}
CUresult cuFuncSetAttribute(void* function, int attribute, int value) { (void)function; (void)attribute; (void)value; ENTER("cuFuncSetAttribute"); return 0; }

/* double_*(from, to, count) is the one kernel that is executed. */
static void execute(const node* each) {
  if (mock.launches < most_launches) {
    mock_launch* seen = &mock.launched[mock.launches];
    strncpy(seen->kernel, each->function.kernel, sizeof(seen->kernel) - 1);
    memcpy(seen->grid, each->grid, sizeof(seen->grid));
    seen->block = each->block;
    seen->shared_bytes = each->shared;
  }
  mock.launches++;
  if (strncmp(each->function.kernel, "double_", 7) != 0) return;
  const float* from = (const float*)(uintptr_t)each->values[0];
  float* to = (float*)(uintptr_t)each->values[1];
  for (int at = 0; at < (int)each->values[2]; at++) to[at] = 2 * from[at];
}

CUresult cuLaunchKernel(void* function, unsigned int x, unsigned int y, unsigned int z, unsigned int block, unsigned int block_y,
                        unsigned int block_z, unsigned int shared, void* stream, void** parameters, void** extra) {
  (void)block_y; (void)block_z; (void)stream; (void)extra;
  ENTER("cuLaunchKernel");
  if (x == 0 || y == 0 || z == 0 || y > 65535 || z > 65535) return 1;
  node each = {.function = *(function_record*)function, .grid = {x, y, z}, .block = block, .shared = shared};
  if (strncmp(each.function.kernel, "double_", 7) == 0) {
    memcpy(&each.values[0], parameters[0], 8);
    memcpy(&each.values[1], parameters[1], 8);
    each.values[2] = (unsigned long long)*(int*)parameters[2];
  }
  if (capturing == NULL) execute(&each);
  else if (capturing->count < 64) capturing->nodes[capturing->count++] = each;
  return 0;
}
CUresult cuStreamBeginCapture_v2(void* stream, int mode) {
  (void)stream; (void)mode;
  ENTER("cuStreamBeginCapture");
  if (capturing != NULL) return 1;
  capturing = make(kind_graph, sizeof(graph));
  return 0;
}
CUresult cuStreamEndCapture(void* stream, void** captured) {
  (void)stream;
  ENTER_RELEASE("cuStreamEndCapture");
  *captured = NULL;
  if (capturing == NULL) return 1;
  if (injected != 0) destroy(kind_graph, capturing);
  else *captured = capturing;
  capturing = NULL;
  return injected;
}
CUresult cuGraphInstantiateWithFlags(void** exec, void* captured, unsigned long long flags) {
  (void)flags;
  ENTER("cuGraphInstantiate");
  graph* made = make(kind_exec, sizeof(graph));
  *made = *(graph*)captured;
  *exec = made;
  return 0;
}
CUresult cuGraphLaunch(void* exec, void* stream) {
  (void)stream;
  ENTER("cuGraphLaunch");
  const graph* replayed = exec;
  for (int at = 0; at < replayed->count; at++) execute(&replayed->nodes[at]);
  return 0;
}
CUresult cuGraphExecDestroy(void* exec) { ENTER_RELEASE("cuGraphExecDestroy"); destroy(kind_exec, exec); return injected; }
CUresult cuGraphDestroy(void* captured) { ENTER_RELEASE("cuGraphDestroy"); destroy(kind_graph, captured); return injected; }
