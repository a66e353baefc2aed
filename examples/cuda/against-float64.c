// A layer in a plain C program: one forward launch and one step behind it, compared with the recurrence in double on the
// host. Built by build.sh from examples/s6.ssm: gcc compiles this file, nvcc the kernels with their launch functions.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "statefuse_S6.h"

enum { batch = 2, prompt = 96, length = prompt + 1, channels = 1536, states = 16 };

static void check(cudaError_t status, const char* what) {
  if (status == cudaSuccess) return;
  fprintf(stderr, "%s: %s\n", what, cudaGetErrorString(status));
  exit(1);
}

// Numbers on the host and the same on the device.
typedef struct Tensor {
  size_t count;
  float* host;
  float* device;
} Tensor;

static Tensor zeros(size_t count) {
  Tensor made = {count, calloc(count, sizeof(float)), NULL};
  if (made.host == NULL) exit(1);
  check(cudaMalloc((void**)&made.device, count * sizeof(float)), "cudaMalloc");
  return made;
}

// Numbers between low and high, of a generator that is the same everywhere.
static Tensor drawn(size_t count, float low, float high) {
  static unsigned long long state = 1;
  Tensor made = zeros(count);
  for (size_t i = 0; i < count; ++i) {
    state = state * 6364136223846793005ull + 1442695040888963407ull;
    made.host[i] = low + (high - low) * (float)(state >> 40) / 16777216.0f;
  }
  check(cudaMemcpy(made.device, made.host, count * sizeof(float), cudaMemcpyHostToDevice), "upload");
  return made;
}

static void download(Tensor tensor) {
  check(cudaMemcpy(tensor.host, tensor.device, tensor.count * sizeof(float), cudaMemcpyDeviceToHost), "download");
}

static void release(Tensor tensor) {
  free(tensor.host);
  check(cudaFree(tensor.device), "cudaFree");
}

// Inputs of a part of the sequence, [batch, tokens, width].
typedef struct Part {
  size_t tokens;
  Tensor u, delta, B, C, z, y;
} Part;

static Part draw_part(size_t tokens) {
  const size_t wide = batch * tokens * channels, narrow = batch * tokens * states;
  Part part = {tokens, drawn(wide, -1, 1), drawn(wide, -1, 1), drawn(narrow, -1, 1), drawn(narrow, -1, 1), drawn(wide, -2, 2), zeros(wide)};
  return part;
}

static void release_part(Part part) {
  const Tensor all[] = {part.u, part.delta, part.B, part.C, part.z, part.y};
  for (size_t i = 0; i < sizeof all / sizeof all[0]; ++i) release(all[i]);
}

typedef struct Parameters {
  Tensor A_log, delta_bias, skip;
} Parameters;

// Squared norms of the true numbers and of what was wrong with them.
typedef struct Norms {
  double whole, wrong;
} Norms;

// Evaluates a part in double, state [batch, channels, states] in place, and compares its outputs.
static void evaluate(const Part* part, const Parameters* parameters, double* state, Norms* norms) {
  for (size_t b = 0; b < batch; ++b) {
    for (size_t t = 0; t < part->tokens; ++t) {
      const size_t token = b * part->tokens + t;
      for (size_t d = 0; d < channels; ++d) {
        const size_t at = token * channels + d;
        const double u = part->u.host[at], z = part->z.host[at];
        const double dt = log1p(exp((double)part->delta.host[at] + parameters->delta_bias.host[d]));
        double sum = 0;
        for (size_t n = 0; n < states; ++n) {
          double* x = &state[(b * channels + d) * states + n];
          *x = exp(-exp(parameters->A_log.host[d * states + n]) * dt) * *x + dt * u * part->B.host[token * states + n];
          sum += part->C.host[token * states + n] * *x;
        }
        const double y = (sum + parameters->skip.host[d] * u) * z / (1 + exp(-z));
        const double difference = part->y.host[at] - y;
        norms->whole += y * y;
        norms->wrong += difference * difference;
      }
    }
  }
}

// Both entry points have these tensors under these names.
#define FILL(tensors, part, parameters, from, to) \
  do { \
    (tensors).input_u = (part).u.device, (tensors).input_delta = (part).delta.device, (tensors).input_z = (part).z.device; \
    (tensors).input_B = (part).B.device, (tensors).input_C = (part).C.device, (tensors).output_y = (part).y.device; \
    (tensors).param_A_log = (parameters).A_log.device, (tensors).param_delta_bias = (parameters).delta_bias.device; \
    (tensors).param_skip = (parameters).skip.device, (tensors).initial_x = (from).device, (tensors).final_x = (to).device; \
  } while (0)

int main(void) {
  const Parameters parameters = {drawn(channels * states, 0, 2.7f), drawn(channels, -5, -2), drawn(channels, 0.5f, 1.5f)};
  const Part whole = draw_part(prompt), last = draw_part(1);
  const size_t count = (size_t)batch * channels * states;
  const Tensor initial = drawn(count, -1, 1), handed = zeros(count), final = zeros(count);
  double* state = malloc(count * sizeof(double));
  if (state == NULL) return 1;
  for (size_t i = 0; i < count; ++i) state[i] = initial.host[i];

  const size_t forward_bytes = statefuse_S6_forward_scratch_bytes(batch, prompt), step_bytes = statefuse_S6_step_scratch_bytes(batch, 1);
  void* scratch = NULL;
  check(cudaMalloc(&scratch, (forward_bytes > step_bytes ? forward_bytes : step_bytes) + 1), "cudaMalloc");
  statefuse_S6_forward_tensors forward = {0};
  statefuse_S6_step_tensors step = {0};
  FILL(forward, whole, parameters, initial, handed);
  FILL(step, last, parameters, handed, final);
  check(statefuse_S6_forward(&forward, batch, prompt, scratch, NULL), "forward");
  check(statefuse_S6_step(&step, batch, 1, scratch, NULL), "step");
  download(whole.y);
  download(last.y);
  download(final);

  Norms outputs = {0, 0}, states_norms = {0, 0};
  evaluate(&whole, &parameters, state, &outputs);
  evaluate(&last, &parameters, state, &outputs);
  for (size_t i = 0; i < count; ++i) {
    const double difference = final.host[i] - state[i];
    states_norms.whole += state[i] * state[i];
    states_norms.wrong += difference * difference;
  }
  const double y_error = sqrt(outputs.wrong / outputs.whole), x_error = sqrt(states_norms.wrong / states_norms.whole);
  printf("%d tokens, the last as a step, against double: outputs %.2g, final state %.2g (relative)\n", (int)length, y_error, x_error);

  release_part(whole);
  release_part(last);
  const Tensor rest[] = {parameters.A_log, parameters.delta_bias, parameters.skip, initial, handed, final};
  for (size_t i = 0; i < sizeof rest / sizeof rest[0]; ++i) release(rest[i]);
  check(cudaFree(scratch), "cudaFree");
  free(state);
  return y_error < 1e-5 && x_error < 1e-5 ? 0 : 1;
}
