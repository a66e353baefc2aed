/* What the pieces of the mock share: counters of calls, failures to come, what is alive. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

enum { most_functions = 96, most_launches = 256 };

enum { kind_memory, kind_host_memory, kind_stream, kind_event, kind_module, kind_graph, kind_exec, kind_context, kind_program, kinds };

typedef struct {
  char kernel[64];
  unsigned int grid[3];
  unsigned int block;
  unsigned int shared_bytes;
} mock_launch;

typedef struct {
  int driver_version;
  int devices;
  int compute_major;
  int compute_minor;
  int nvrtc_major;
  /* cuEventQuery says "not ready" so many times */
  int pending_queries;
  /* bytes that can be allocated */
  size_t memory_bytes;
  /* a text with this in it does not compile */
  bool is_strict;
  /* compiled code carries a wrong mark, as for another device */
  bool makes_wrong_code;
  int compilations;
  int launches;
  mock_launch launched[most_launches];
  long alive[kinds];
  size_t used_bytes;
} mock_state;

extern mock_state mock;

/* Counts a call; the code to fail with, or 0. */
int mock_enter(const char* function);
void mock_reset(void);
void mock_fail(const char* function, int call, int code, bool forever);
long mock_calls(void);
