// What went wrong in a library call, as data; the binding makes a JavaScript error of it and the
// TypeScript side a diagnostic.
#pragma once

#include <cstdint>
#include <string>

#include "driver-api.h"

namespace statefuse {

struct Failure {
  enum class Origin { driver, compiler, library, caller };
  Origin origin = Origin::driver;
  std::string operation;
  Result code = 0;
  std::string name;
  std::string words;
  // kernel or library that the call was about
  std::string subject;
  uint64_t bytes = 0;
  uint64_t freeBytes = 0;
};

// A wrong argument from the TypeScript side: always a bug of ours.
[[noreturn]] void refuse(const char* operation, const std::string& words);

// Throws the driver's own words for a code other than success.
void check(const DriverFunctions& driver, Result code, const char* operation, const std::string& subject = "");

}  // namespace statefuse
