// Text to machine code through NVRTC. Holds no state, so that texts can be compiled side by side.
#pragma once

#include <string>
#include <vector>

#include "libraries.h"

namespace statefuse {

// Throws NVRTC's own words for a code other than success.
void checkCompiler(const CompilerLibrary& library, Result code, const char* operation, const std::string& kernel);

struct Compiled {
  bool isAccepted = false;
  std::vector<char> cubin;
  std::string log;
};

// A text that NVRTC refuses is an answer (`isAccepted`); any other trouble is thrown as a Failure.
Compiled compile(const CompilerLibrary& library, const std::string& text, const std::string& name,
                 const std::vector<std::string>& options);

}  // namespace statefuse
