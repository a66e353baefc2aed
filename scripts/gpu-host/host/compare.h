// Errors of a tensor against float64 numbers.
#pragma once
#include <cmath>
#include <vector>

namespace host {

struct Errors {
  double relative = 0;  // |out - ref| / |ref|, Euclidean
  double largest = 0;   // max |out - ref|
  double scale = 0;     // max |ref|
  size_t not_finite = 0;
};

inline Errors compare(const std::vector<double>& values, const std::vector<double>& reference) {
  Errors errors;
  double difference = 0, norm = 0;
  for (size_t i = 0; i < values.size(); ++i) {
    if (!std::isfinite(values[i])) {
      if (std::isfinite(reference[i])) ++errors.not_finite;
      continue;
    }
    const double error = std::fabs(values[i] - reference[i]);
    difference += error * error;
    norm += reference[i] * reference[i];
    errors.largest = std::fmax(errors.largest, error);
    errors.scale = std::fmax(errors.scale, std::fabs(reference[i]));
  }
  errors.relative = norm > 0 ? std::sqrt(difference / norm) : std::sqrt(difference);
  return errors;
}

inline size_t count_not_finite(const std::vector<double>& values) {
  size_t count = 0;
  for (const double value : values) count += std::isfinite(value) ? 0 : 1;
  return count;
}

}  // namespace host
