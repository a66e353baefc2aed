/*
 * The selective scan as an ordinary C programmer writes it: plain loops, libm's expf, one thread, no
 * intrinsics. It is the peer that the WASM kernels are measured against, and a second opinion about
 * their results.
 *
 *   state[d][n] = exp(delta[l][d] * A[d][n]) * state[d][n] + delta[l][d] * u[l][d] * B[l][n]
 *   y[l][d]     = sum over n of C[l][n] * state[d][n], plus D[d] * u[l][d]
 *
 * Layout: u, delta, y (b, l, d); B, C (b, l, n); A (d, n); D (d). Delta is given positive (no
 * softplus). The backward pass reads states that the training forward stored for every position.
 *
 *   cc -O3 -march=native -o selective-scan selective-scan.c -lm
 *   ./selective-scan batch length D N [repeats] [prefix of output files]
 *
 * Prints one line of JSON. With a prefix it writes PREFIX.<tensor>.f32 (raw little-endian floats) of
 * all inputs, outputs and gradients.
 */
#define _POSIX_C_SOURCE 200809L
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

typedef struct {
  size_t batch, length, channels, states;
} Shape;

typedef struct {
  float *u, *delta, *A, *B, *C, *D, *y, *saved;
  float *y_grad, *u_grad, *delta_grad, *A_grad, *B_grad, *C_grad, *D_grad;
  float *state; /* D x N: running state forward, its cotangent backward */
} Tensors;

/* y from u; stores every state to `saved` unless that is NULL. */
static void forward(Shape s, const Tensors *t, float *saved) {
  const size_t D = s.channels, N = s.states;
  for (size_t b = 0; b < s.batch; b++) {
    memset(t->state, 0, D * N * sizeof(float));
    for (size_t l = 0; l < s.length; l++) {
      const size_t token = b * s.length + l;
      const float *B = t->B + token * N, *C = t->C + token * N;
      for (size_t d = 0; d < D; d++) {
        const float u = t->u[token * D + d], delta = t->delta[token * D + d];
        const float *A = t->A + d * N;
        float *state = t->state + d * N;
        float y = t->D[d] * u;
        for (size_t n = 0; n < N; n++) {
          state[n] = expf(delta * A[n]) * state[n] + delta * u * B[n];
          y += C[n] * state[n];
        }
        t->y[token * D + d] = y;
        if (saved != NULL) memcpy(saved + (token * D + d) * N, state, N * sizeof(float));
      }
    }
  }
}

/* One token and channel of the backward pass; `adjoint` is dL/d state, `before` the state one token earlier. */
static void backward_channel(Shape s, const Tensors *t, size_t token, size_t d, const float *before) {
  const size_t N = s.states, at = token * s.channels + d;
  const float u = t->u[at], delta = t->delta[at], y_grad = t->y_grad[at];
  const float *A = t->A + d * N, *B = t->B + token * N, *C = t->C + token * N;
  const float *after = t->saved + at * N;
  float *adjoint = t->state + d * N;
  float u_grad = t->D[d] * y_grad, delta_grad = 0.0f;
  for (size_t n = 0; n < N; n++) {
    const float decay = expf(delta * A[n]);
    const float previous = before == NULL ? 0.0f : before[n];
    const float g = adjoint[n] + C[n] * y_grad;
    const float decay_grad = g * previous * decay;
    t->C_grad[token * N + n] += after[n] * y_grad;
    t->B_grad[token * N + n] += g * delta * u;
    t->A_grad[d * N + n] += decay_grad * delta;
    delta_grad += decay_grad * A[n] + g * u * B[n];
    u_grad += g * delta * B[n];
    adjoint[n] = g * decay;
  }
  t->u_grad[at] = u_grad;
  t->delta_grad[at] = delta_grad;
  t->D_grad[d] += u * y_grad;
}

static void backward(Shape s, const Tensors *t) {
  const size_t D = s.channels, N = s.states, tokens = s.batch * s.length;
  memset(t->A_grad, 0, D * N * sizeof(float));
  memset(t->D_grad, 0, D * sizeof(float));
  memset(t->B_grad, 0, tokens * N * sizeof(float));
  memset(t->C_grad, 0, tokens * N * sizeof(float));
  for (size_t b = 0; b < s.batch; b++) {
    memset(t->state, 0, D * N * sizeof(float));
    for (size_t l = s.length; l-- > 0;) {
      const size_t token = b * s.length + l;
      for (size_t d = 0; d < D; d++) {
        const float *before = l == 0 ? NULL : t->saved + ((token - 1) * D + d) * N;
        backward_channel(s, t, token, d, before);
      }
    }
  }
}

static uint32_t generator = 1u;

/* Uniform in [low, high): xorshift32, the same numbers on every machine. */
static float draw(float low, float high) {
  generator ^= generator << 13;
  generator ^= generator >> 17;
  generator ^= generator << 5;
  return low + (high - low) * (float)(generator >> 8) * (1.0f / 16777216.0f);
}

static float *filled(size_t count, float low, float high) {
  float *made = malloc(count * sizeof(float));
  if (made == NULL) {
    fprintf(stderr, "selective-scan: out of memory for %zu floats\n", count);
    exit(3);
  }
  for (size_t i = 0; i < count; i++) made[i] = draw(low, high);
  return made;
}

static Tensors make_tensors(Shape s) {
  const size_t tokens = s.batch * s.length, td = tokens * s.channels, tn = tokens * s.states;
  const size_t dn = s.channels * s.states;
  Tensors t;
  t.u = filled(td, -1.0f, 1.0f);
  t.delta = filled(td, 0.001f, 0.1f);
  t.A = filled(dn, 0.0f, 1.0f);
  for (size_t i = 0; i < dn; i++) t.A[i] = -(float)(i % s.states + 1) * (0.9f + 0.2f * t.A[i]);
  t.B = filled(tn, -1.0f, 1.0f);
  t.C = filled(tn, -1.0f, 1.0f);
  t.D = filled(s.channels, -1.0f, 1.0f);
  t.y_grad = filled(td, -1.0f, 1.0f);
  t.y = filled(td, 0.0f, 1.0f);
  t.saved = filled(td * s.states, 0.0f, 1.0f);
  t.u_grad = filled(td, 0.0f, 1.0f);
  t.delta_grad = filled(td, 0.0f, 1.0f);
  t.A_grad = filled(dn, 0.0f, 1.0f);
  t.B_grad = filled(tn, 0.0f, 1.0f);
  t.C_grad = filled(tn, 0.0f, 1.0f);
  t.D_grad = filled(s.channels, 0.0f, 1.0f);
  t.state = filled(dn, 0.0f, 1.0f);
  return t;
}

static double now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (double)time.tv_sec * 1e9 + (double)time.tv_nsec;
}

static int ascending(const void *left, const void *right) {
  const double a = *(const double *)left, b = *(const double *)right;
  return (a > b) - (a < b);
}

static double median(double *values, int count) {
  qsort(values, (size_t)count, sizeof(double), ascending);
  return values[count / 2];
}

static double checksum(const float *values, size_t count) {
  double sum = 0.0;
  for (size_t i = 0; i < count; i++) sum += (double)values[i] * (double)(i % 7 + 1);
  return sum;
}

static void write_floats(const char *prefix, const char *name, const float *values, size_t count) {
  char path[4096];
  snprintf(path, sizeof path, "%s.%s.f32", prefix, name);
  FILE *file = fopen(path, "wb");
  if (file == NULL || fwrite(values, sizeof(float), count, file) != count || fclose(file) != 0) {
    fprintf(stderr, "selective-scan: cannot write %s\n", path);
    exit(1);
  }
}

static void write_all(Shape s, const Tensors *t, const char *prefix) {
  const size_t tokens = s.batch * s.length, td = tokens * s.channels, tn = tokens * s.states;
  const size_t dn = s.channels * s.states;
  write_floats(prefix, "u", t->u, td);
  write_floats(prefix, "delta", t->delta, td);
  write_floats(prefix, "A", t->A, dn);
  write_floats(prefix, "B", t->B, tn);
  write_floats(prefix, "C", t->C, tn);
  write_floats(prefix, "D", t->D, s.channels);
  write_floats(prefix, "y", t->y, td);
  write_floats(prefix, "grad.y", t->y_grad, td);
  write_floats(prefix, "grad.u", t->u_grad, td);
  write_floats(prefix, "grad.delta", t->delta_grad, td);
  write_floats(prefix, "grad.A", t->A_grad, dn);
  write_floats(prefix, "grad.B", t->B_grad, tn);
  write_floats(prefix, "grad.C", t->C_grad, tn);
  write_floats(prefix, "grad.D", t->D_grad, s.channels);
}

static size_t positive(const char *text) {
  char *end;
  const long long value = strtoll(text, &end, 10);
  if (*end != '\0' || value <= 0 || value > 1 << 24) {
    fprintf(stderr, "selective-scan: %s is not a size\n", text);
    exit(2);
  }
  return (size_t)value;
}

int main(int argc, char **argv) {
  if (argc < 5 || argc > 7) {
    fprintf(stderr, "usage: selective-scan batch length D N [repeats] [output prefix]\n");
    return 2;
  }
  const Shape s = {positive(argv[1]), positive(argv[2]), positive(argv[3]), positive(argv[4])};
  const int repeats = argc > 5 ? (int)positive(argv[5]) : 5;
  const Tensors t = make_tensors(s);
  double *times[3];
  for (int i = 0; i < 3; i++) times[i] = malloc(sizeof(double) * (size_t)repeats);
  for (int r = -1; r < repeats; r++) { /* the first round warms up and is not counted */
    const double start = now();
    forward(s, &t, NULL);
    const double plain = now();
    forward(s, &t, t.saved);
    const double stored = now();
    backward(s, &t);
    const double end = now();
    if (r < 0) continue;
    times[0][r] = plain - start;
    times[1][r] = stored - plain;
    times[2][r] = end - stored;
  }
  const size_t td = s.batch * s.length * s.channels, elements = td * s.states;
  printf("{\"shape\":{\"batch\":%zu,\"length\":%zu,\"D\":%zu,\"N\":%zu},\"repeats\":%d,", s.batch, s.length,
         s.channels, s.states, repeats);
  printf("\"nsPerElement\":{\"forward\":%.4f,\"forwardSaved\":%.4f,\"backward\":%.4f},",
         median(times[0], repeats) / (double)elements, median(times[1], repeats) / (double)elements,
         median(times[2], repeats) / (double)elements);
  printf("\"checksum\":{\"y\":%.9g,\"gradU\":%.9g,\"gradDelta\":%.9g,\"gradA\":%.9g}}\n", checksum(t.y, td),
         checksum(t.u_grad, td), checksum(t.delta_grad, td), checksum(t.A_grad, s.channels * s.states));
  if (argc > 6) write_all(s, &t, argv[6]);
  return 0;
}
