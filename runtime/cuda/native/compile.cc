// One NVRTC program from text to cubin.
#include "compile.h"

#include "failure.h"

namespace statefuse {

void checkCompiler(const CompilerLibrary& library, Result code, const char* operation, const std::string& kernel) {
  if (code == success) return;
  Failure failure;
  failure.origin = Failure::Origin::compiler;
  failure.operation = operation;
  failure.code = code;
  failure.subject = kernel;
  const char* text = library.functions.getErrorString(code);
  failure.words = text == nullptr ? "" : text;
  throw failure;
}

namespace {

constexpr Result compilationFailed = 6;

class Program {
 public:
  Program(const CompilerLibrary& library, const std::string& text, const std::string& name) : library_(library) {
    checkCompiler(library, library.functions.createProgram(&handle_, text.c_str(), name.c_str(), 0, nullptr, nullptr), "nvrtcCreateProgram", name);
  }
  ~Program() { library_.functions.destroyProgram(&handle_); }
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;
  ProgramHandle handle() const { return handle_; }

 private:
  const CompilerLibrary& library_;
  ProgramHandle handle_ = nullptr;
};

}  // namespace

Compiled compile(const CompilerLibrary& library, const std::string& text, const std::string& name,
                 const std::vector<std::string>& options) {
  const CompilerFunctions& nvrtc = library.functions;
  const Program program(library, text, name);
  std::vector<const char*> words;
  for (const std::string& each : options) words.push_back(each.c_str());
  const Result code = nvrtc.compileProgram(program.handle(), static_cast<int>(words.size()), words.data());
  Compiled result;
  size_t bytes = 0;
  if (nvrtc.getLogSize(program.handle(), &bytes) == success && bytes > 1) {
    result.log.resize(bytes);
    if (nvrtc.getLog(program.handle(), &result.log[0]) != success) result.log.clear();
    while (!result.log.empty() && result.log.back() == '\0') result.log.pop_back();
  }
  if (code == compilationFailed) return result;
  if (code != success && !result.log.empty()) {
    Failure failure;
    failure.origin = Failure::Origin::compiler;
    failure.operation = "nvrtcCompileProgram";
    failure.code = code;
    failure.subject = name;
    failure.words = result.log;
    throw failure;
  }
  checkCompiler(library, code, "nvrtcCompileProgram", name);
  checkCompiler(library, nvrtc.getCubinSize(program.handle(), &bytes), "nvrtcGetCUBINSize", name);
  result.cubin.resize(bytes);
  checkCompiler(library, nvrtc.getCubin(program.handle(), result.cubin.data()), "nvrtcGetCUBIN", name);
  result.isAccepted = true;
  return result;
}

}  // namespace statefuse
