// The parts of the CUDA driver and NVRTC interfaces that the runtime calls, declared from their public
// documentation: the addon builds without the toolkit and finds the functions in the libraries at run time.
#pragma once

#include <cstddef>

namespace statefuse {

using Result = int;
using DeviceOrdinal = int;
using DevicePointer = unsigned long long;
using ContextHandle = struct OpaqueContext*;
using StreamHandle = struct OpaqueStream*;
using EventHandle = struct OpaqueEvent*;
using ModuleHandle = struct OpaqueModule*;
using FunctionHandle = struct OpaqueFunction*;
using GraphHandle = struct OpaqueGraph*;
using GraphExecHandle = struct OpaqueGraphExec*;
using ProgramHandle = struct OpaqueProgram*;

constexpr Result success = 0;
constexpr Result outOfMemory = 2;
constexpr Result notReady = 600;

constexpr unsigned int streamNonBlocking = 1;
constexpr unsigned int eventWithoutTiming = 2;
constexpr int captureThreadLocal = 1;
constexpr int attributeMaxDynamicSharedBytes = 8;

// Each row: field, exported symbol, parameters.
#define STATEFUSE_DRIVER_FUNCTIONS(FUNCTION)                                                                  \
  FUNCTION(init, cuInit, (unsigned int flags))                                                                \
  FUNCTION(driverGetVersion, cuDriverGetVersion, (int* version))                                              \
  FUNCTION(getErrorName, cuGetErrorName, (Result code, const char** text))                                    \
  FUNCTION(getErrorString, cuGetErrorString, (Result code, const char** text))                                \
  FUNCTION(deviceGetCount, cuDeviceGetCount, (int* count))                                                    \
  FUNCTION(deviceGet, cuDeviceGet, (DeviceOrdinal* device, int ordinal))                                      \
  FUNCTION(deviceGetName, cuDeviceGetName, (char* name, int length, DeviceOrdinal device))                    \
  FUNCTION(deviceGetAttribute, cuDeviceGetAttribute, (int* value, int attribute, DeviceOrdinal device))       \
  FUNCTION(deviceTotalMem, cuDeviceTotalMem_v2, (size_t* bytes, DeviceOrdinal device))                        \
  FUNCTION(primaryContextRetain, cuDevicePrimaryCtxRetain, (ContextHandle* context, DeviceOrdinal device))    \
  FUNCTION(primaryContextRelease, cuDevicePrimaryCtxRelease_v2, (DeviceOrdinal device))                       \
  FUNCTION(contextSetCurrent, cuCtxSetCurrent, (ContextHandle context))                                       \
  FUNCTION(memGetInfo, cuMemGetInfo_v2, (size_t* free, size_t* total))                                        \
  FUNCTION(memAlloc, cuMemAlloc_v2, (DevicePointer* address, size_t bytes))                                   \
  FUNCTION(memFree, cuMemFree_v2, (DevicePointer address))                                                    \
  FUNCTION(memHostAlloc, cuMemHostAlloc, (void** address, size_t bytes, unsigned int flags))                  \
  FUNCTION(memFreeHost, cuMemFreeHost, (void* address))                                                       \
  FUNCTION(copyToDevice, cuMemcpyHtoDAsync_v2,                                                                \
           (DevicePointer to, const void* from, size_t bytes, StreamHandle stream))                           \
  FUNCTION(copyToHost, cuMemcpyDtoHAsync_v2, (void* to, DevicePointer from, size_t bytes, StreamHandle stream)) \
  FUNCTION(copyOnDevice, cuMemcpyDtoDAsync_v2,                                                                \
           (DevicePointer to, DevicePointer from, size_t bytes, StreamHandle stream))                         \
  FUNCTION(fillBytes, cuMemsetD8Async, (DevicePointer to, unsigned char value, size_t bytes, StreamHandle stream)) \
  FUNCTION(streamCreate, cuStreamCreate, (StreamHandle* stream, unsigned int flags))                          \
  FUNCTION(streamDestroy, cuStreamDestroy_v2, (StreamHandle stream))                                          \
  FUNCTION(streamSynchronize, cuStreamSynchronize, (StreamHandle stream))                                     \
  FUNCTION(streamBeginCapture, cuStreamBeginCapture_v2, (StreamHandle stream, int mode))                      \
  FUNCTION(streamEndCapture, cuStreamEndCapture, (StreamHandle stream, GraphHandle* graph))                   \
  FUNCTION(eventCreate, cuEventCreate, (EventHandle* event, unsigned int flags))                              \
  FUNCTION(eventDestroy, cuEventDestroy_v2, (EventHandle event))                                              \
  FUNCTION(eventRecord, cuEventRecord, (EventHandle event, StreamHandle stream))                              \
  FUNCTION(eventQuery, cuEventQuery, (EventHandle event))                                                     \
  FUNCTION(eventSynchronize, cuEventSynchronize, (EventHandle event))                                         \
  FUNCTION(eventElapsedTime, cuEventElapsedTime, (float* milliseconds, EventHandle start, EventHandle end))   \
  FUNCTION(moduleLoadData, cuModuleLoadData, (ModuleHandle* module, const void* image))                       \
  FUNCTION(moduleUnload, cuModuleUnload, (ModuleHandle module))                                               \
  FUNCTION(moduleGetFunction, cuModuleGetFunction,                                                            \
           (FunctionHandle* function, ModuleHandle module, const char* name))                                 \
  FUNCTION(functionSetAttribute, cuFuncSetAttribute, (FunctionHandle function, int attribute, int value))     \
  FUNCTION(launchKernel, cuLaunchKernel,                                                                      \
           (FunctionHandle function, unsigned int gridX, unsigned int gridY, unsigned int gridZ,              \
            unsigned int blockX, unsigned int blockY, unsigned int blockZ, unsigned int sharedBytes,          \
            StreamHandle stream, void** parameters, void** extra))                                            \
  FUNCTION(graphInstantiate, cuGraphInstantiateWithFlags,                                                     \
           (GraphExecHandle* exec, GraphHandle graph, unsigned long long flags))                              \
  FUNCTION(graphLaunch, cuGraphLaunch, (GraphExecHandle exec, StreamHandle stream))                           \
  FUNCTION(graphExecDestroy, cuGraphExecDestroy, (GraphExecHandle exec))                                      \
  FUNCTION(graphDestroy, cuGraphDestroy, (GraphHandle graph))

#define STATEFUSE_COMPILER_FUNCTIONS(FUNCTION)                                                                \
  FUNCTION(version, nvrtcVersion, (int* major, int* minor))                                                   \
  FUNCTION(createProgram, nvrtcCreateProgram,                                                                 \
           (ProgramHandle* program, const char* text, const char* name, int headers,                          \
            const char* const* headerTexts, const char* const* headerNames))                                  \
  FUNCTION(destroyProgram, nvrtcDestroyProgram, (ProgramHandle* program))                                     \
  FUNCTION(compileProgram, nvrtcCompileProgram, (ProgramHandle program, int count, const char* const* options)) \
  FUNCTION(getLogSize, nvrtcGetProgramLogSize, (ProgramHandle program, size_t* bytes))                        \
  FUNCTION(getLog, nvrtcGetProgramLog, (ProgramHandle program, char* log))                                    \
  FUNCTION(getCubinSize, nvrtcGetCUBINSize, (ProgramHandle program, size_t* bytes))                           \
  FUNCTION(getCubin, nvrtcGetCUBIN, (ProgramHandle program, char* cubin))

#define STATEFUSE_FIELD(field, symbol, parameters) Result(*field) parameters = nullptr;

struct DriverFunctions {
  STATEFUSE_DRIVER_FUNCTIONS(STATEFUSE_FIELD)
};

struct CompilerFunctions {
  STATEFUSE_COMPILER_FUNCTIONS(STATEFUSE_FIELD)
  const char* (*getErrorString)(Result code) = nullptr;
};

#undef STATEFUSE_FIELD

}  // namespace statefuse
