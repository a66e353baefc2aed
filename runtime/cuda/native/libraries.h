// The driver and NVRTC as loaded libraries. They are loaded once per process and path and never unloaded.
#pragma once

#include <string>
#include <vector>

#include "driver-api.h"

namespace statefuse {

struct DriverLibrary {
  std::string path;
  DriverFunctions functions;
};

struct CompilerLibrary {
  std::string path;
  CompilerFunctions functions;
};

// The first path that loads and has every function; throws a Failure that lists what was tried.
const DriverLibrary& loadDriver(const std::vector<std::string>& paths);
const CompilerLibrary& loadCompiler(const std::vector<std::string>& paths);

}  // namespace statefuse
