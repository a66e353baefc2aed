/* The functions of NVRTC that the runtime uses. The machine code of a kernel is a mark and its name. */
#include "mock.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
  char code[128];
  char log[256];
} program;

static const char* const kernel_start = "extern \"C\" __global__";

const char* nvrtcGetErrorString(int code) { return code == 6 ? "NVRTC_ERROR_COMPILATION" : "NVRTC_ERROR_MOCK"; }

int nvrtcVersion(int* major, int* minor) {
  const int injected = mock_enter("nvrtcVersion");
  if (injected != 0) return injected;
  *major = mock.nvrtc_major;
  *minor = 0;
  return 0;
}

int nvrtcCreateProgram(void** made, const char* text, const char* name, int headers, const char* const* texts, const char* const* names) {
  (void)headers; (void)texts; (void)names;
  const int injected = mock_enter("nvrtcCreateProgram");
  if (injected != 0) return injected;
  program* created = calloc(1, sizeof(program));
  __sync_fetch_and_add(&mock.alive[kind_program], 1);
  const int length = (int)strcspn(name, ".");
  snprintf(created->code, sizeof(created->code), "%s%.*s", mock.makes_wrong_code ? "OTHER CUBIN\n" : "MOCK CUBIN\n", length, name);
  if (mock.is_strict || strstr(text, kernel_start) == NULL) {
    snprintf(created->log, sizeof(created->log), "%s(3): error: identifier \"wrong\" is undefined\n    wrong = 1;\n    ^\n\n1 error detected\n", name);
  }
  *made = created;
  return 0;
}

int nvrtcDestroyProgram(void** made) {
  const int injected = mock_enter("nvrtcDestroyProgram");
  __sync_fetch_and_sub(&mock.alive[kind_program], 1);
  free(*made);
  *made = NULL;
  return injected;
}

int nvrtcCompileProgram(void* made, int count, const char* const* options) {
  (void)count; (void)options;
  const int injected = mock_enter("nvrtcCompileProgram");
  if (injected != 0) return injected;
  __sync_fetch_and_add(&mock.compilations, 1);
  return ((program*)made)->log[0] == '\0' ? 0 : 6;
}

int nvrtcGetProgramLogSize(void* made, size_t* bytes) {
  const int injected = mock_enter("nvrtcGetProgramLogSize");
  *bytes = strlen(((program*)made)->log) + 1;
  return injected;
}

int nvrtcGetProgramLog(void* made, char* log) {
  const int injected = mock_enter("nvrtcGetProgramLog");
  strcpy(log, ((program*)made)->log);
  return injected;
}

int nvrtcGetCUBINSize(void* made, size_t* bytes) {
  const int injected = mock_enter("nvrtcGetCUBINSize");
  *bytes = strlen(((program*)made)->code) + 1;
  return injected;
}

int nvrtcGetCUBIN(void* made, char* code) {
  const int injected = mock_enter("nvrtcGetCUBIN");
  strcpy(code, ((program*)made)->code);
  return injected;
}
