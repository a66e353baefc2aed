/*
 * A CUDA driver and NVRTC without a GPU: all their functions on host memory, kernels not executed but
 * for `double_*`, and any result injected at any call. The same file is a Node addon, through which a
 * test steers it: the runtime opens it as a driver, the test requires it as a module.
 */
#include "mock.h"

#include <node_api.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

mock_state mock;

static pthread_mutex_t guard = PTHREAD_MUTEX_INITIALIZER;
static struct { char name[48]; long calls; } functions[most_functions];
static int function_count;
static long all_calls;
static char failing[48];
static long failing_call;
static int failing_code;
static bool fails_forever;

static long count(const char* function) {
  for (int at = 0; at < function_count; at++) {
    if (strcmp(functions[at].name, function) == 0) return ++functions[at].calls;
  }
  if (function_count < most_functions) {
    strncpy(functions[function_count].name, function, sizeof(functions[0].name) - 1);
    functions[function_count++].calls = 1;
  }
  return 1;
}

int mock_enter(const char* function) {
  pthread_mutex_lock(&guard);
  const long own = count(function);
  const long all = ++all_calls;
  int code = 0;
  if (failing[0] != '\0' && (strcmp(failing, "*") == 0 || strcmp(failing, function) == 0)) {
    const long at = strcmp(failing, "*") == 0 ? all : own;
    if (at == failing_call || (fails_forever && at > failing_call)) code = failing_code;
  }
  pthread_mutex_unlock(&guard);
  return code;
}

/* Forgets calls and failures; what is alive stays counted. */
__attribute__((constructor)) void mock_reset(void) {
  pthread_mutex_lock(&guard);
  memset(functions, 0, sizeof(functions));
  function_count = 0;
  all_calls = 0;
  failing[0] = '\0';
  fails_forever = false;
  mock.driver_version = 13000;
  mock.devices = 1;
  mock.compute_major = 9;
  mock.compute_minor = 0;
  mock.nvrtc_major = 13;
  mock.pending_queries = 0;
  mock.memory_bytes = (size_t)1 << 30;
  mock.is_strict = false;
  mock.makes_wrong_code = false;
  mock.compilations = 0;
  mock.launches = 0;
  pthread_mutex_unlock(&guard);
}

void mock_fail(const char* function, int call, int code, bool forever) {
  pthread_mutex_lock(&guard);
  strncpy(failing, function, sizeof(failing) - 1);
  failing_call = call;
  failing_code = code;
  fails_forever = forever;
  pthread_mutex_unlock(&guard);
}

long mock_calls(void) { return all_calls; }

static double number_of(napi_env env, napi_value value) {
  double number = 0;
  napi_get_value_double(env, value, &number);
  return number;
}

static napi_value undefined(napi_env env) {
  napi_value value;
  napi_get_undefined(env, &value);
  return value;
}

static void set_number(napi_env env, napi_value object, const char* name, double number) {
  napi_value value;
  napi_create_double(env, number, &value);
  napi_set_named_property(env, object, name, value);
}

static napi_value reset(napi_env env, napi_callback_info info) {
  (void)info;
  mock_reset();
  return undefined(env);
}

/* fail(function or '*', call, code, 0 or 1 for ever) */
static napi_value fail(napi_env env, napi_callback_info info) {
  size_t count = 4;
  napi_value arguments[4];
  napi_get_cb_info(env, info, &count, arguments, NULL, NULL);
  char name[48] = "";
  size_t length = 0;
  napi_get_value_string_utf8(env, arguments[0], name, sizeof(name), &length);
  mock_fail(name, (int)number_of(env, arguments[1]), (int)number_of(env, arguments[2]), number_of(env, arguments[3]) != 0);
  return undefined(env);
}

static napi_value set(napi_env env, napi_callback_info info) {
  size_t count = 2;
  napi_value arguments[2];
  napi_get_cb_info(env, info, &count, arguments, NULL, NULL);
  char name[48] = "";
  size_t length = 0;
  napi_get_value_string_utf8(env, arguments[0], name, sizeof(name), &length);
  const double value = number_of(env, arguments[1]);
  if (strcmp(name, "driverVersion") == 0) mock.driver_version = (int)value;
  else if (strcmp(name, "devices") == 0) mock.devices = (int)value;
  else if (strcmp(name, "computeMajor") == 0) mock.compute_major = (int)value;
  else if (strcmp(name, "nvrtcMajor") == 0) mock.nvrtc_major = (int)value;
  else if (strcmp(name, "pendingQueries") == 0) mock.pending_queries = (int)value;
  else if (strcmp(name, "memoryBytes") == 0) mock.memory_bytes = (size_t)value;
  else if (strcmp(name, "isStrict") == 0) mock.is_strict = value != 0;
  else if (strcmp(name, "makesWrongCode") == 0) mock.makes_wrong_code = value != 0;
  else napi_throw_error(env, NULL, "no such setting");
  return undefined(env);
}

static napi_value state(napi_env env, napi_callback_info info) {
  (void)info;
  static const char* const names[kinds] = {"memory", "hostMemory", "streams", "events", "modules", "graphs", "execs", "contexts", "programs"};
  napi_value answer, alive, calls;
  napi_create_object(env, &answer);
  napi_create_object(env, &alive);
  for (int kind = 0; kind < kinds; kind++) set_number(env, alive, names[kind], (double)mock.alive[kind]);
  napi_set_named_property(env, answer, "alive", alive);
  napi_create_object(env, &calls);
  for (int at = 0; at < function_count; at++) set_number(env, calls, functions[at].name, (double)functions[at].calls);
  napi_set_named_property(env, answer, "calls", calls);
  set_number(env, answer, "allCalls", (double)all_calls);
  set_number(env, answer, "usedBytes", (double)mock.used_bytes);
  set_number(env, answer, "compilations", mock.compilations);
  set_number(env, answer, "launches", mock.launches);
  return answer;
}

static napi_value launched(napi_env env, napi_callback_info info) {
  (void)info;
  napi_value list;
  napi_create_array(env, &list);
  for (int at = 0; at < mock.launches && at < most_launches; at++) {
    napi_value each, kernel, grid;
    napi_create_object(env, &each);
    napi_create_string_utf8(env, mock.launched[at].kernel, NAPI_AUTO_LENGTH, &kernel);
    napi_set_named_property(env, each, "kernel", kernel);
    napi_create_array(env, &grid);
    for (uint32_t dimension = 0; dimension < 3; dimension++) {
      napi_value size;
      napi_create_double(env, mock.launched[at].grid[dimension], &size);
      napi_set_element(env, grid, dimension, size);
    }
    napi_set_named_property(env, each, "grid", grid);
    set_number(env, each, "block", mock.launched[at].block);
    set_number(env, each, "sharedBytes", mock.launched[at].shared_bytes);
    napi_set_element(env, list, (uint32_t)at, each);
  }
  return list;
}

NAPI_MODULE_INIT() {
  static const struct { const char* name; napi_callback body; } members[] = {{"reset", reset}, {"fail", fail}, {"set", set}, {"state", state}, {"launched", launched}};
  for (size_t at = 0; at < sizeof(members) / sizeof(members[0]); at++) {
    napi_value function;
    napi_create_function(env, members[at].name, NAPI_AUTO_LENGTH, members[at].body, NULL, &function);
    napi_set_named_property(env, exports, members[at].name, function);
  }
  return exports;
}
