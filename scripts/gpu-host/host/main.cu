// Checks and times a layer's kernels on a GPU: runs the entries of each case file in order, compares
// the outputs with the case's float64 numbers, runs everything a second time for equal bits, and takes
// the time of each entry and kernel. One line of JSON per entry goes to the file named by --json.
//
//   main [--repeats N] [--no-timing] [--json FILE] CASE...
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "case-file.h"
#include "compare.h"
#include "memory.h"
#include "timing.h"

namespace {

using namespace host;

struct Options {
  int repeats = 50;
  bool timing = true;
  std::FILE* json = nullptr;
  std::vector<std::string> cases;
};

Options read_options(int count, char** words) {
  Options options;
  for (int i = 1; i < count; ++i) {
    const std::string word = words[i];
    if (word == "--no-timing") options.timing = false;
    else if (word == "--repeats" && i + 1 < count) options.repeats = std::max(1, std::atoi(words[++i]));
    else if (word == "--json" && i + 1 < count) {
      options.json = std::fopen(words[++i], "a");
      if (options.json == nullptr) fail(std::string("cannot write ") + words[i]);
    } else options.cases.push_back(word);
  }
  return options;
}

const EntryRow& find_entry(const std::string& name) {
  const LayerTable& table = layer_table();
  for (int i = 0; i < table.entry_count; ++i) {
    if (name == table.entries[i].name) return table.entries[i];
  }
  fail("the layer has no entry " + name);
}

std::uint64_t seed_of(const std::string& name) {
  std::uint64_t seed = 1469598103934665603ull;
  for (const char letter : name) seed = (seed ^ static_cast<unsigned char>(letter)) * 1099511628211ull;
  return seed;
}

// Puts what the entry reads, and no earlier entry wrote, into the pool.
void provide(const Case& of, const EntryRow& entry, Pool& pool) {
  for (int i = 0; i < entry.tensor_count; ++i) {
    const TensorRow& tensor = entry.tensors[i];
    if (tensor.scratch || tensor.written || pool.count(tensor.name) > 0) continue;
    const auto count = static_cast<size_t>(tensor.count(of.batch, of.length));
    const auto given = of.inputs.find(tensor.name);
    const auto range = of.randoms.find(tensor.name);
    std::vector<double> values;
    if (given != of.inputs.end()) {
      values = given->second;
      if (values.size() != count) fail(std::string("tensor ") + tensor.name + " has another size in the case");
    } else if (range != of.randoms.end()) {
      const std::uint64_t seed = seed_of(tensor.name);
      const auto [low, high] = range->second;
      for (size_t at = 0; at < count; ++at) values.push_back(low + (high - low) * random_at(seed, at));
    } else {
      fail(of.name + ": no tensor " + tensor.name + " for " + entry.name);
    }
    pool[tensor.name] = encode(tensor.storage, values);
  }
}

// What was found about the outputs of an entry.
struct Verdict {
  bool good = true;
  int compared = 0;
  double worst = 0;  // greatest relative error
};

// Prints one line per output; returns whether it is right.
bool judge(const Case& of, const TensorRow& tensor, const std::vector<char>& bytes, bool same_bits, Verdict& verdict) {
  const std::vector<double> values = decode(tensor.storage, bytes);
  const auto expected = of.expected.find(tensor.name);
  const char* bits = same_bits ? "same bits" : "DIFFERENT BITS";
  if (expected == of.expected.end()) {
    const size_t bad = count_not_finite(values);
    std::printf("    %-24s not compared, %zu of %zu not finite, %s\n", tensor.name, bad, values.size(), bits);
    return bad == 0 && same_bits;
  }
  if (expected->second.size() != values.size()) fail(std::string("expected ") + tensor.name + " has another size");
  const Errors errors = compare(values, expected->second);
  ++verdict.compared;
  verdict.worst = std::fmax(verdict.worst, std::isfinite(errors.relative) ? errors.relative : 1e300);
  const bool good = errors.relative <= of.tolerance && errors.not_finite == 0 && same_bits;
  std::printf("    %-24s relative %.2e  largest %.2e of %.2e  not finite %zu  %s  %s\n", tensor.name, errors.relative,
              errors.largest, errors.scale, errors.not_finite, bits, good ? "ok" : "WRONG");
  return good;
}

Verdict verify(const Case& of, const EntryRow& entry, Pool& pool) {
  const Run run = allocate(entry, of.batch, of.length);
  std::vector<std::vector<char>> rounds[2];
  for (auto& round : rounds) {
    fill(run, pool);
    launch(run, nullptr);
    check(cudaDeviceSynchronize(), entry.name);
    for (const Block& block : run.blocks) round.push_back(block.read());
  }
  Verdict verdict;
  for (int i = 0; i < entry.tensor_count; ++i) {
    const TensorRow& tensor = entry.tensors[i];
    if (tensor.scratch || !tensor.written) continue;
    const bool good = judge(of, tensor, rounds[0][i], rounds[0][i] == rounds[1][i], verdict);
    verdict.good = verdict.good && good;
    pool[tensor.name] = rounds[0][i];
  }
  return verdict;
}

void measure(const Case& of, const EntryRow& entry, const Pool& pool, const Options& options, const Verdict& verdict) {
  const std::vector<Run> runs = make_copies(entry, of.batch, of.length, pool);
  const Timing whole = time_runs(runs, nullptr, options.repeats, [](const Run& run) { launch(run, nullptr); });
  const double bytes = static_cast<double>(useful_bytes(runs[0]));
  const double scratch = static_cast<double>(runs[0].scratch.bytes());
  std::printf("    time %.1f us (%.1f to %.1f; queued %.1f), %.0f GB/s of %.1f MB, memory %.1f MB (scratch %.1f), %d copies\n",
              whole.median_us, whole.least_us, whole.most_us, whole.queued_us, bytes / whole.median_us / 1e3, bytes / 1e6,
              (bytes + scratch) / 1e6, scratch / 1e6, whole.copies);
  if (options.json != nullptr) {
    std::fprintf(options.json,
                 "{\"layer\":\"%s\",\"case\":\"%s\",\"entry\":\"%s\",\"batch\":%lld,\"length\":%lld,\"correct\":%s,\"compared\":%d,\"relative\":%.3e,\"microseconds\":%.2f,"
                 "\"least\":%.2f,\"queued\":%.2f,\"bytes\":%.0f,\"scratchBytes\":%.0f,\"kernels\":{",
                 layer_table().layer, of.name.c_str(), entry.name, of.batch, of.length, verdict.good ? "true" : "false", verdict.compared, verdict.worst, whole.median_us,
                 whole.least_us, whole.queued_us, bytes, scratch);
  }
  for (int k = 0; k < entry.kernel_count; ++k) {
    const KernelRow& kernel = entry.kernels[k];
    const Timing one = time_runs(runs, nullptr, std::min(options.repeats, 20), [&](const Run& run) { launch_kernel(run, kernel, nullptr); });
    if (entry.kernel_count > 1) std::printf("      %-30s %.1f us\n", kernel.name, one.median_us);
    if (options.json != nullptr) std::fprintf(options.json, "%s\"%s\":%.2f", k == 0 ? "" : ",", kernel.name, one.median_us);
  }
  if (options.json != nullptr) std::fprintf(options.json, "}}\n");
}

}  // namespace

int main(int count, char** words) {
  const Options options = read_options(count, words);
  cudaDeviceProp device;
  check(cudaGetDeviceProperties(&device, 0), "cudaGetDeviceProperties");
  std::printf("%s on %s\n", layer_table().layer, device.name);
  bool all_good = true;
  for (const std::string& path : options.cases) {
    const Case of = read_case(path);
    Pool pool;
    for (const std::string& name : of.runs) {
      const EntryRow& entry = find_entry(name);
      std::printf("  %s: %s, batch %lld, length %lld\n", of.name.c_str(), entry.name, of.batch, of.length);
      provide(of, entry, pool);
      const Verdict verdict = verify(of, entry, pool);
      all_good = all_good && verdict.good;
      if (options.timing) measure(of, entry, pool, options, verdict);
      std::fflush(stdout);
    }
  }
  if (options.json != nullptr) std::fclose(options.json);
  std::printf("%s\n", all_good ? "all right" : "WRONG RESULTS");
  return all_good ? 0 : 1;
}
