// Finding libraries and their functions. Safe to call from every thread.
#include "libraries.h"

#include <dirent.h>
#include <dlfcn.h>

#include <cstring>
#include <map>
#include <memory>
#include <mutex>

#include "failure.h"

namespace statefuse {
namespace {

std::mutex guard;

[[noreturn]] void failLibrary(const char* operation, const std::string& subject, const std::string& words) {
  Failure failure;
  failure.origin = Failure::Origin::library;
  failure.operation = operation;
  failure.subject = subject;
  failure.words = words;
  throw failure;
}

void* findSymbol(void* library, const char* symbol, const std::string& path) {
  void* found = dlsym(library, symbol);
  if (found == nullptr) failLibrary("dlsym", path, symbol);
  return found;
}

template <typename Function>
void bind(Function& field, void* library, const char* symbol, const std::string& path) {
  void* found = findSymbol(library, symbol, path);
  static_assert(sizeof(field) == sizeof(found), "functions and data have pointers of one size");
  std::memcpy(&field, &found, sizeof(found));
}

void* openLibrary(const std::string& path, std::string& tried) {
  void* library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library != nullptr) return library;
  const char* reason = dlerror();
  if (!tried.empty()) tried += "\n";
  tried += reason == nullptr ? path : reason;
  return nullptr;
}

// NVRTC opens its builtins by bare name: loaded before from NVRTC's own folder, they are found anywhere.
void openBuiltinsBeside(const std::string& path) {
  const size_t slash = path.rfind('/');
  if (slash == std::string::npos) return;
  const std::string folder = path.substr(0, slash);
  DIR* listing = opendir(folder.c_str());
  if (listing == nullptr) return;
  while (const dirent* entry = readdir(listing)) {
    if (std::strncmp(entry->d_name, "libnvrtc-builtins.so", 20) == 0) dlopen((folder + "/" + entry->d_name).c_str(), RTLD_NOW | RTLD_LOCAL);
  }
  closedir(listing);
}

}  // namespace

#define STATEFUSE_BIND(field, symbol, parameters) bind(loaded->functions.field, library, #symbol, path);

const DriverLibrary& loadDriver(const std::vector<std::string>& paths) {
  static std::map<std::string, std::unique_ptr<DriverLibrary>> known;
  const std::lock_guard<std::mutex> lock(guard);
  std::string tried;
  for (const std::string& path : paths) {
    const auto found = known.find(path);
    if (found != known.end()) return *found->second;
    void* library = openLibrary(path, tried);
    if (library == nullptr) continue;
    auto loaded = std::make_unique<DriverLibrary>();
    loaded->path = path;
    STATEFUSE_DRIVER_FUNCTIONS(STATEFUSE_BIND)
    check(loaded->functions, loaded->functions.init(0), "cuInit");
    return *(known[path] = std::move(loaded));
  }
  failLibrary("dlopen", "driver", tried);
}

const CompilerLibrary& loadCompiler(const std::vector<std::string>& paths) {
  static std::map<std::string, std::unique_ptr<CompilerLibrary>> known;
  const std::lock_guard<std::mutex> lock(guard);
  std::string tried;
  for (const std::string& path : paths) {
    const auto found = known.find(path);
    if (found != known.end()) return *found->second;
    openBuiltinsBeside(path);
    void* library = openLibrary(path, tried);
    if (library == nullptr) continue;
    auto loaded = std::make_unique<CompilerLibrary>();
    loaded->path = path;
    STATEFUSE_COMPILER_FUNCTIONS(STATEFUSE_BIND)
    bind(loaded->functions.getErrorString, library, "nvrtcGetErrorString", path);
    return *(known[path] = std::move(loaded));
  }
  failLibrary("dlopen", "compiler", tried);
}

#undef STATEFUSE_BIND

}  // namespace statefuse
