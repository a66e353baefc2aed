// A layer in a plain C++ program: reads a prompt in one launch, then goes on token by token from the final
// state, as generation does, and compares with one launch over the whole sequence. Built by build.sh from
// examples/s6.ssm; the header and the kernels are all that a program needs of Statefuse.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <utility>
#include <vector>

#include "statefuse_S6.h"

namespace {

constexpr long long batch = 2, length = 200, prompt = 137, channels = 1536, states = 16;

void check(cudaError_t status, const char* what) {
  if (status == cudaSuccess) return;
  std::fprintf(stderr, "%s: %s\n", what, cudaGetErrorString(status));
  std::exit(1);
}

// Device memory of a number of floats, given back at the end of its scope.
class Floats {
 public:
  explicit Floats(long long count) : count_(count) {
    check(cudaMalloc(&data_, static_cast<size_t>(count) * sizeof(float)), "cudaMalloc");
    check(cudaMemset(data_, 0, static_cast<size_t>(count) * sizeof(float)), "cudaMemset");
  }
  explicit Floats(const std::vector<float>& values) : Floats(static_cast<long long>(values.size())) {
    check(cudaMemcpy(data_, values.data(), values.size() * sizeof(float), cudaMemcpyHostToDevice), "upload");
  }
  Floats(const Floats&) = delete;
  Floats& operator=(const Floats&) = delete;
  ~Floats() { cudaFree(data_); }

  float* get() const { return data_; }
  std::vector<float> read() const {
    std::vector<float> values(static_cast<size_t>(count_));
    check(cudaMemcpy(values.data(), data_, values.size() * sizeof(float), cudaMemcpyDeviceToHost), "download");
    return values;
  }

 private:
  float* data_ = nullptr;
  long long count_;
};

std::mt19937 generator(1);

std::vector<float> normal(long long count, float mean, float deviation) {
  std::normal_distribution<float> draw(mean, deviation);
  std::vector<float> values(static_cast<size_t>(count));
  for (float& each : values) each = draw(generator);
  return values;
}

// Inputs per token: [batch, length, width] on the host.
struct Sequence {
  long long width;
  std::vector<float> values;

  // Tokens from `first` on, `count` of them, of every sequence of the batch.
  std::vector<float> tokens(long long first, long long count) const {
    std::vector<float> part;
    for (long long b = 0; b < batch; ++b) {
      const auto begin = values.begin() + (b * length + first) * width;
      part.insert(part.end(), begin, begin + count * width);
    }
    return part;
  }
};

struct Inputs { Sequence u, delta, B, C, z; };

struct Parameters { Floats A_log, delta_bias, skip; };

// log(1 .. states) for every channel, the start value of examples/s6.ssm.
std::vector<float> a_log() {
  std::vector<float> values;
  for (long long i = 0; i < channels * states; ++i) values.push_back(std::log(1.0f + static_cast<float>(i % states)));
  return values;
}

// Runs `count` tokens from `first` on; the state goes from `from` to `to`.
std::vector<float> run(const Inputs& inputs, const Parameters& parameters, long long first, long long count, const Floats& from, Floats& to) {
  const Floats u(inputs.u.tokens(first, count)), delta(inputs.delta.tokens(first, count)), B(inputs.B.tokens(first, count));
  const Floats C(inputs.C.tokens(first, count)), z(inputs.z.tokens(first, count)), y(batch * count * channels);
  const auto fill = [&](auto& tensors) {
    tensors.input_u = u.get();
    tensors.input_delta = delta.get();
    tensors.input_B = B.get();
    tensors.input_C = C.get();
    tensors.input_z = z.get();
    tensors.param_A_log = parameters.A_log.get();
    tensors.param_delta_bias = parameters.delta_bias.get();
    tensors.param_skip = parameters.skip.get();
    tensors.initial_x = from.get();
    tensors.output_y = y.get();
    tensors.final_x = to.get();
  };
  if (count == 1) {
    statefuse_S6_step_tensors tensors{};
    fill(tensors);
    const Floats scratch(static_cast<long long>(statefuse_S6_step_scratch_bytes(batch, 1)) / 4 + 1);
    check(statefuse_S6_step(&tensors, batch, 1, scratch.get(), nullptr), "step");
  } else {
    statefuse_S6_forward_tensors tensors{};
    fill(tensors);
    const Floats scratch(static_cast<long long>(statefuse_S6_forward_scratch_bytes(batch, count)) / 4 + 1);
    check(statefuse_S6_forward(&tensors, batch, count, scratch.get(), nullptr), "forward");
  }
  return y.read();
}

// Largest difference between `y`, tokens from `first` on, and the same tokens of the whole sequence.
float difference(const Sequence& whole, const std::vector<float>& y, long long first, long long count) {
  const std::vector<float> expected = whole.tokens(first, count);
  float largest = 0;
  for (size_t i = 0; i < y.size(); ++i) {
    const float each = std::fabs(y[i] - expected[i]);
    if (!(each <= largest)) largest = each;  // a NaN counts as a difference
  }
  return largest;
}

}  // namespace

int main() {
  const auto tokens = [](long long width, float mean = 0) { return Sequence{width, normal(batch * length * width, mean, 1)}; };
  const Inputs inputs{tokens(channels), tokens(channels), tokens(states), tokens(states), tokens(channels)};
  const Parameters parameters{Floats(a_log()), Floats(normal(channels, -4, 1)), Floats(normal(channels, 1, 0.1f))};
  const long long state = batch * channels * states;

  Floats zero(state), last(state);
  const Sequence whole{channels, run(inputs, parameters, 0, length, zero, last)};

  Floats now(state), next(state);
  float largest = difference(whole, run(inputs, parameters, 0, prompt, zero, now), 0, prompt);
  Floats* from = &now;
  Floats* to = &next;
  for (long long token = prompt; token < length; ++token) {
    largest = std::max(largest, difference(whole, run(inputs, parameters, token, 1, *from, *to), token, 1));
    std::swap(from, to);
  }
  std::printf("%lld tokens read at once, %lld one by one: largest difference from one launch over all %.2g\n", prompt, length - prompt, static_cast<double>(largest));
  return largest < 1e-4f ? 0 : 1;
}
