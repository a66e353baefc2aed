// Reads the files that pack-case.ts writes: eight bytes SFCASE01, the length of a text header as u32,
// the header, and numbers. Header lines: case, batch, length, tolerance, run, random, input, expected.
#pragma once
#include <cstdint>
#include <cstring>
#include <fstream>
#include <iterator>
#include <map>
#include <sstream>
#include <string>
#include <vector>

#include "failure.h"
#include "table.h"

namespace host {

struct Random {
  double low, high;
};

struct Case {
  std::string name;
  Size batch = 0, length = 0;
  double tolerance = 0;
  std::vector<std::string> runs;  // entries in order; tensors pass from one to the next by name
  std::map<std::string, std::vector<double>> inputs;
  std::map<std::string, std::vector<double>> expected;
  std::map<std::string, Random> randoms;
};

inline std::vector<double> numbers(const std::vector<char>& file, size_t offset, size_t count, const std::string& dtype) {
  const size_t width = dtype == "f64" ? 8 : 4;
  if (dtype != "f64" && dtype != "f32" && dtype != "i32") fail("case file: unknown dtype " + dtype);
  if (offset > file.size() || count > (file.size() - offset) / width) fail("case file: too short");
  std::vector<double> values(count);
  for (size_t i = 0; i < count; ++i) {
    const char* from = file.data() + offset + i * width;
    if (dtype == "f64") {
      std::memcpy(&values[i], from, 8);
    } else if (dtype == "f32") {
      float value;
      std::memcpy(&value, from, 4);
      values[i] = value;
    } else {
      std::int32_t value;
      std::memcpy(&value, from, 4);
      values[i] = value;
    }
  }
  return values;
}

inline Case read_case(const std::string& path) {
  std::ifstream stream(path, std::ios::binary);
  const std::vector<char> file((std::istreambuf_iterator<char>(stream)), std::istreambuf_iterator<char>());
  if (file.size() < 12 || std::memcmp(file.data(), "SFCASE01", 8) != 0) fail("not a case file: " + path);
  std::uint32_t header_bytes;
  std::memcpy(&header_bytes, file.data() + 8, 4);
  if (header_bytes > file.size() - 12) fail("case file: header too long in " + path);
  const size_t data = (12 + static_cast<size_t>(header_bytes) + 7) / 8 * 8;
  std::istringstream header(std::string(file.data() + 12, header_bytes));
  Case made;
  for (std::string line; std::getline(header, line);) {
    std::istringstream words(line);
    std::string kind, name, dtype;
    size_t offset = 0, count = 0;
    words >> kind;
    if (kind == "case") words >> made.name;
    else if (kind == "batch") words >> made.batch;
    else if (kind == "length") words >> made.length;
    else if (kind == "tolerance") words >> made.tolerance;
    else if (kind == "run") { words >> name; made.runs.push_back(name); }
    else if (kind == "random") { Random range{}; words >> name >> range.low >> range.high; made.randoms[name] = range; }
    else if (kind == "input" || kind == "expected") {
      words >> name >> dtype >> offset >> count;
      (kind == "input" ? made.inputs : made.expected)[name] = numbers(file, data + offset, count, dtype);
    } else fail("case file: unknown line " + kind);
    if (!words) fail("case file: bad line: " + line);
  }
  return made;
}

}  // namespace host
