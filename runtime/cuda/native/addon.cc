// The binding: functions of the context and the two libraries as a Node addon. Every failure becomes a
// JavaScript error with the failure's fields; nothing else is decided here. Callers are the TypeScript
// files beside this folder, which check what users bring.
#include <napi.h>

#include <chrono>
#include <cmath>
#include <functional>
#include <memory>
#include <thread>

#include "compile.h"
#include "context.h"
#include "failure.h"

namespace statefuse {
namespace {

const char* originName(Failure::Origin origin) {
  switch (origin) {
    case Failure::Origin::driver: return "driver";
    case Failure::Origin::compiler: return "compiler";
    case Failure::Origin::library: return "library";
    default: return "caller";
  }
}

Napi::Error errorOf(Napi::Env env, const Failure& failure) {
  Napi::Error error = Napi::Error::New(env, failure.operation + ": " + (failure.name.empty() ? failure.words : failure.name));
  Napi::Object fields = Napi::Object::New(env);
  fields.Set("origin", originName(failure.origin));
  fields.Set("operation", failure.operation);
  fields.Set("code", failure.code);
  fields.Set("name", failure.name);
  fields.Set("words", failure.words);
  fields.Set("subject", failure.subject);
  fields.Set("bytes", static_cast<double>(failure.bytes));
  fields.Set("freeBytes", static_cast<double>(failure.freeBytes));
  error.Value().Set("failure", fields);
  return error;
}

template <typename Body>
auto guarded(Napi::Env env, Body body) -> decltype(body()) {
  try {
    return body();
  } catch (const Failure& failure) {
    throw errorOf(env, failure);
  } catch (const std::bad_alloc&) {
    Failure failure;
    failure.operation = "malloc";
    failure.code = outOfMemory;
    failure.name = "no memory on the host";
    throw errorOf(env, failure);
  }
}

double numberArgument(const Napi::CallbackInfo& info, size_t at) {
  if (at >= info.Length() || !info[at].IsNumber()) refuse("arguments", "argument " + std::to_string(at) + " must be a number");
  const double value = info[at].As<Napi::Number>().DoubleValue();
  if (!(value >= 0) || value > 9007199254740991.0 || value != std::floor(value)) refuse("arguments", "argument " + std::to_string(at) + " must be a natural number");
  return value;
}

uint64_t naturalArgument(const Napi::CallbackInfo& info, size_t at) { return static_cast<uint64_t>(numberArgument(info, at)); }

std::string textArgument(const Napi::CallbackInfo& info, size_t at) {
  if (at >= info.Length() || !info[at].IsString()) refuse("arguments", "argument " + std::to_string(at) + " must be a string");
  return info[at].As<Napi::String>().Utf8Value();
}

std::vector<std::string> textsArgument(const Napi::CallbackInfo& info, size_t at) {
  if (at >= info.Length() || !info[at].IsArray()) refuse("arguments", "argument " + std::to_string(at) + " must be an array");
  const Napi::Array list = info[at].As<Napi::Array>();
  std::vector<std::string> texts;
  for (uint32_t each = 0; each < list.Length(); each++) texts.push_back(list.Get(each).ToString().Utf8Value());
  return texts;
}

struct Bytes {
  const uint8_t* data;
  size_t count;
};

Bytes bytesArgument(const Napi::CallbackInfo& info, size_t at) {
  if (at >= info.Length() || !info[at].IsTypedArray()) refuse("arguments", "argument " + std::to_string(at) + " must be a typed array");
  const Napi::TypedArray array = info[at].As<Napi::TypedArray>();
  void* data = nullptr;
  size_t length = 0;
  napi_typedarray_type type;
  if (napi_get_typedarray_info(info.Env(), array, &type, &length, &data, nullptr, nullptr) != napi_ok) refuse("arguments", "an unreadable typed array");
  return {static_cast<const uint8_t*>(data), array.ByteLength()};
}

template <typename Array>
Array typedField(const Napi::Object& object, const char* name, napi_typedarray_type type) {
  const Napi::Value value = object.Get(name);
  if (!value.IsTypedArray() || value.As<Napi::TypedArray>().TypedArrayType() != type) refuse("arguments", std::string("`") + name + "` has a wrong type");
  return value.As<Array>();
}

uint64_t naturalField(const Napi::Object& object, const char* name) {
  const Napi::Value value = object.Get(name);
  const double number = value.IsNumber() ? value.As<Napi::Number>().DoubleValue() : -1;
  if (!(number >= 0) || number > 9007199254740991.0) refuse("arguments", std::string("`") + name + "` must be a natural number");
  return static_cast<uint64_t>(number);
}

// A JavaScript thread that is being ended runs no promises any more; that must not end the process.
template <typename Body>
void settle(Body body) {
  try {
    body();
  } catch (const Napi::Error&) {
  }
}

// Waits on a thread of the pool, at most the given time, so that the process can always end.
class WaitWorker : public Napi::AsyncWorker {
 public:
  WaitWorker(Napi::Env env, std::shared_ptr<Context> context, EventHandle event, double milliseconds)
      : Napi::AsyncWorker(env), context_(std::move(context)), event_(event), milliseconds_(milliseconds),
        deferred_(Napi::Promise::Deferred::New(env)) {}
  Napi::Promise promise() const { return deferred_.Promise(); }

 protected:
  void Execute() override {
    using Clock = std::chrono::steady_clock;
    const auto start = Clock::now();
    const auto end = start + std::chrono::microseconds(static_cast<int64_t>(milliseconds_ * 1000));
    const auto spin = start + std::chrono::microseconds(50);
    auto pause = std::chrono::microseconds(10);
    try {
      while (!(isFinished_ = context_->isFinished(event_)) && Clock::now() < end) {
        if (Clock::now() < spin) continue;
        std::this_thread::sleep_for(pause);
        if (pause < std::chrono::microseconds(100)) pause *= 2;
      }
    } catch (const Failure& failure) {
      failure_ = std::make_unique<Failure>(failure);
    }
  }
  void OnOK() override {
    settle([&] {
      if (failure_ != nullptr) deferred_.Reject(errorOf(Env(), *failure_).Value());
      else deferred_.Resolve(Napi::Boolean::New(Env(), isFinished_));
    });
  }

 private:
  std::shared_ptr<Context> context_;
  EventHandle event_;
  double milliseconds_;
  Napi::Promise::Deferred deferred_;
  bool isFinished_ = false;
  std::unique_ptr<Failure> failure_;
};

class CompileWorker : public Napi::AsyncWorker {
 public:
  CompileWorker(Napi::Env env, const CompilerLibrary& library, std::string text, std::string name, std::vector<std::string> options)
      : Napi::AsyncWorker(env), library_(library), text_(std::move(text)), name_(std::move(name)), options_(std::move(options)),
        deferred_(Napi::Promise::Deferred::New(env)) {}
  Napi::Promise promise() const { return deferred_.Promise(); }

 protected:
  void Execute() override {
    try {
      result_ = compile(library_, text_, name_, options_);
    } catch (const Failure& failure) {
      failure_ = std::make_unique<Failure>(failure);
    }
  }
  void OnOK() override {
    settle([&] {
      if (failure_ != nullptr) deferred_.Reject(errorOf(Env(), *failure_).Value());
      else deferred_.Resolve(answer());
    });
  }

 private:
  Napi::Object answer() {
    const Napi::Env env = Env();
    Napi::Object made = Napi::Object::New(env);
    made.Set("isAccepted", result_.isAccepted);
    made.Set("log", result_.log);
    Napi::ArrayBuffer bytes = Napi::ArrayBuffer::New(env, result_.cubin.size());
    if (!result_.cubin.empty()) std::copy(result_.cubin.begin(), result_.cubin.end(), static_cast<char*>(bytes.Data()));
    made.Set("cubin", Napi::Uint8Array::New(env, result_.cubin.size(), bytes, 0));
    return made;
  }

  const CompilerLibrary& library_;
  std::string text_;
  std::string name_;
  std::vector<std::string> options_;
  Napi::Promise::Deferred deferred_;
  Compiled result_;
  std::unique_ptr<Failure> failure_;
};

std::vector<LaunchDescription> launchesOf(const Napi::Array& list) {
  std::vector<LaunchDescription> launches;
  for (uint32_t at = 0; at < list.Length(); at++) {
    const Napi::Object each = list.Get(at).As<Napi::Object>();
    LaunchDescription launch;
    launch.function = naturalField(each, "function");
    const auto grid = typedField<Napi::Uint32Array>(each, "grid", napi_uint32_array);
    if (grid.ElementLength() != 3) refuse("makePlan", "a grid has three sizes");
    for (size_t dimension = 0; dimension < 3; dimension++) launch.grid[dimension] = grid[dimension];
    launch.block = static_cast<unsigned int>(naturalField(each, "block"));
    launch.sharedBytes = static_cast<unsigned int>(naturalField(each, "sharedBytes"));
    const auto slots = typedField<Napi::Uint32Array>(each, "slots", napi_uint32_array);
    launch.slots.assign(slots.Data(), slots.Data() + slots.ElementLength());
    const auto uniforms = typedField<Napi::Int32Array>(each, "uniforms", napi_int32_array);
    launch.uniforms.assign(uniforms.Data(), uniforms.Data() + uniforms.ElementLength());
    launches.push_back(std::move(launch));
  }
  return launches;
}

PlanDescription planOf(const Napi::CallbackInfo& info) {
  if (info.Length() < 1 || !info[0].IsObject()) refuse("makePlan", "a plan is an object");
  const Napi::Object object = info[0].As<Napi::Object>();
  PlanDescription plan;
  plan.sources = static_cast<uint32_t>(naturalField(object, "sources"));
  // three numbers for each slot: source, offset, bytes
  const auto slots = typedField<Napi::Float64Array>(object, "slots", napi_float64_array);
  for (size_t at = 0; at + 2 < slots.ElementLength(); at += 3) {
    plan.slots.push_back({static_cast<uint32_t>(slots[at]), static_cast<uint64_t>(slots[at + 1]), static_cast<uint64_t>(slots[at + 2])});
  }
  const Napi::Value launches = object.Get("launches");
  if (!launches.IsArray()) refuse("makePlan", "launches are an array");
  plan.launches = launchesOf(launches.As<Napi::Array>());
  return plan;
}

class ContextObject : public Napi::ObjectWrap<ContextObject> {
 public:
  static Napi::Function define(Napi::Env env) {
    return DefineClass(env, "Context", {
      method<&ContextObject::allocate>("allocate"), method<&ContextObject::release>("release"), method<&ContextObject::trim>("trim"),
      method<&ContextObject::memoryUse>("memoryUse"), method<&ContextObject::upload>("upload"), method<&ContextObject::fill>("fill"),
      method<&ContextObject::copy>("copy"), method<&ContextObject::beginDownload>("beginDownload"),
      method<&ContextObject::takeDownload>("takeDownload"),
      method<&ContextObject::loadFunction>("loadFunction"), method<&ContextObject::unloadFunction>("unloadFunction"),
      method<&ContextObject::makePlan>("makePlan"), method<&ContextObject::dropPlan>("dropPlan"), method<&ContextObject::launch>("launch"),
      method<&ContextObject::beginCapture>("beginCapture"), method<&ContextObject::endCapture>("endCapture"),
      method<&ContextObject::abandonCapture>("abandonCapture"), method<&ContextObject::launchGraph>("launchGraph"),
      method<&ContextObject::dropGraph>("dropGraph"), method<&ContextObject::recordEvent>("recordEvent"),
      method<&ContextObject::dropEvent>("dropEvent"), method<&ContextObject::elapsed>("elapsed"),
      method<&ContextObject::isFinished>("isFinished"), method<&ContextObject::wait>("wait"),
      method<&ContextObject::close>("close"), method<&ContextObject::abandon>("abandon"),
    });
  }

  explicit ContextObject(const Napi::CallbackInfo& info) : Napi::ObjectWrap<ContextObject>(info) {
    guarded(info.Env(), [&] {
      const DriverLibrary& driver = loadDriver(textsArgument(info, 0));
      context_ = std::make_shared<Context>(driver, static_cast<int>(numberArgument(info, 1)));
    });
  }

 private:
  using Info = Napi::CallbackInfo;
  using Member = Napi::Value (ContextObject::*)(const Info&);

  template <Member body>
  Napi::Value call(const Info& info) {
    return guarded(info.Env(), [&] { return (this->*body)(info); });
  }
  template <Member body>
  static Napi::ClassPropertyDescriptor<ContextObject> method(const char* name) {
    return InstanceMethod<&ContextObject::call<body>>(name);
  }
  static Napi::Value number(const Info& info, uint64_t value) { return Napi::Number::New(info.Env(), static_cast<double>(value)); }

  Napi::Value allocate(const Info& info) { return number(info, context_->allocate(naturalArgument(info, 0))); }
  Napi::Value release(const Info& info) {
    context_->release(naturalArgument(info, 0));
    return info.Env().Undefined();
  }
  Napi::Value trim(const Info& info) {
    context_->trim();
    return info.Env().Undefined();
  }
  Napi::Value memoryUse(const Info& info) {
    const auto use = context_->memoryUse();
    Napi::Object answer = Napi::Object::New(info.Env());
    const char* const names[] = {"bytes", "blocks", "cachedBytes", "freeBytes", "totalBytes"};
    for (size_t at = 0; at < use.size(); at++) answer.Set(names[at], static_cast<double>(use[at]));
    return answer;
  }
  Napi::Value upload(const Info& info) {
    const Bytes bytes = bytesArgument(info, 2);
    context_->upload(naturalArgument(info, 0), naturalArgument(info, 1), bytes.data, bytes.count);
    return info.Env().Undefined();
  }
  Napi::Value fill(const Info& info) {
    context_->fill(naturalArgument(info, 0), naturalArgument(info, 1), naturalArgument(info, 2));
    return info.Env().Undefined();
  }
  Napi::Value copy(const Info& info) {
    context_->copy(naturalArgument(info, 0), naturalArgument(info, 1), naturalArgument(info, 2));
    return info.Env().Undefined();
  }
  Napi::Value beginDownload(const Info& info) { return number(info, context_->beginDownload(naturalArgument(info, 0), naturalArgument(info, 1))); }
  Napi::Value takeDownload(const Info& info) {
    const uint64_t download = naturalArgument(info, 0);
    const DownloadedBytes done = context_->downloaded(download);
    Napi::ArrayBuffer bytes = Napi::ArrayBuffer::New(info.Env(), done.bytes);
    const char* from = static_cast<const char*>(done.memory);
    std::copy(from, from + done.bytes, static_cast<char*>(bytes.Data()));
    context_->endDownload(download);
    return bytes;
  }
  Napi::Value loadFunction(const Info& info) {
    const Bytes image = bytesArgument(info, 0);
    if (image.count == 0) refuse("loadFunction", "an empty image");
    return number(info, context_->loadFunction(image.data, textArgument(info, 1), static_cast<unsigned int>(naturalArgument(info, 2))));
  }
  Napi::Value unloadFunction(const Info& info) {
    context_->unloadFunction(naturalArgument(info, 0));
    return info.Env().Undefined();
  }
  Napi::Value makePlan(const Info& info) { return number(info, context_->makePlan(planOf(info))); }
  Napi::Value dropPlan(const Info& info) {
    context_->dropPlan(naturalArgument(info, 0));
    return info.Env().Undefined();
  }
  Napi::Value launch(const Info& info) {
    const Bytes blocks = bytesArgument(info, 1);
    context_->launch(naturalArgument(info, 0), reinterpret_cast<const double*>(blocks.data), blocks.count / sizeof(double));
    return info.Env().Undefined();
  }
  Napi::Value beginCapture(const Info& info) {
    context_->beginCapture();
    return info.Env().Undefined();
  }
  Napi::Value endCapture(const Info& info) { return number(info, context_->endCapture()); }
  Napi::Value abandonCapture(const Info& info) {
    context_->abandonCapture();
    return info.Env().Undefined();
  }
  Napi::Value launchGraph(const Info& info) {
    context_->launchGraph(naturalArgument(info, 0), static_cast<unsigned int>(naturalArgument(info, 1)));
    return info.Env().Undefined();
  }
  Napi::Value dropGraph(const Info& info) {
    context_->dropGraph(naturalArgument(info, 0));
    return info.Env().Undefined();
  }
  Napi::Value recordEvent(const Info& info) { return number(info, context_->recordEvent(numberArgument(info, 0) != 0)); }
  Napi::Value dropEvent(const Info& info) {
    context_->dropEvent(naturalArgument(info, 0));
    return info.Env().Undefined();
  }
  Napi::Value elapsed(const Info& info) {
    return Napi::Number::New(info.Env(), context_->elapsed(naturalArgument(info, 0), naturalArgument(info, 1)));
  }
  // Asks until it is done or the microseconds are over.
  Napi::Value isFinished(const Info& info) {
    const EventHandle event = context_->eventOf(naturalArgument(info, 0));
    const auto end = std::chrono::steady_clock::now() + std::chrono::microseconds(naturalArgument(info, 1));
    bool isDone = context_->isFinished(event);
    while (!isDone && std::chrono::steady_clock::now() < end) isDone = context_->isFinished(event);
    return Napi::Boolean::New(info.Env(), isDone);
  }
  Napi::Value wait(const Info& info) {
    const EventHandle event = context_->eventOf(naturalArgument(info, 0));
    auto* worker = new WaitWorker(info.Env(), context_, event, numberArgument(info, 1));
    worker->Queue();
    return worker->promise();
  }
  Napi::Value close(const Info& info) {
    context_->close();
    return info.Env().Undefined();
  }
  Napi::Value abandon(const Info& info) {
    context_->abandon();
    return info.Env().Undefined();
  }

  std::shared_ptr<Context> context_;
};

Napi::Value loadDriverLibrary(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&] {
    const DriverLibrary& driver = loadDriver(textsArgument(info, 0));
    int version = 0;
    check(driver.functions, driver.functions.driverGetVersion(&version), "cuDriverGetVersion");
    int devices = 0;
    check(driver.functions, driver.functions.deviceGetCount(&devices), "cuDeviceGetCount");
    Napi::Object answer = Napi::Object::New(info.Env());
    answer.Set("path", driver.path);
    answer.Set("version", version);
    answer.Set("devices", devices);
    return answer;
  });
}

Napi::Value loadCompilerLibrary(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&] {
    const CompilerLibrary& compiler = loadCompiler(textsArgument(info, 0));
    int major = 0;
    int minor = 0;
    checkCompiler(compiler, compiler.functions.version(&major, &minor), "nvrtcVersion", "");
    Napi::Object answer = Napi::Object::New(info.Env());
    answer.Set("path", compiler.path);
    answer.Set("major", major);
    answer.Set("minor", minor);
    return answer;
  });
}

struct Attribute {
  const char* name;
  int number;
};

constexpr Attribute attributes[] = {
  {"computeMajor", 75}, {"computeMinor", 76}, {"multiprocessors", 16}, {"threadsPerBlock", 1}, {"warp", 10},
  {"gridX", 5}, {"gridY", 6}, {"gridZ", 7}, {"sharedBytes", 97}, {"staticSharedBytes", 8}, {"l2Bytes", 38}, {"computeMode", 20},
};

Napi::Value describeDevice(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&] {
    const DriverFunctions& driver = loadDriver(textsArgument(info, 0)).functions;
    DeviceOrdinal device = 0;
    check(driver, driver.deviceGet(&device, static_cast<int>(numberArgument(info, 1))), "cuDeviceGet");
    char name[256] = "";
    check(driver, driver.deviceGetName(name, sizeof(name), device), "cuDeviceGetName");
    size_t bytes = 0;
    check(driver, driver.deviceTotalMem(&bytes, device), "cuDeviceTotalMem");
    Napi::Object answer = Napi::Object::New(info.Env());
    answer.Set("name", std::string(name));
    answer.Set("totalBytes", static_cast<double>(bytes));
    for (const Attribute& each : attributes) {
      int value = 0;
      check(driver, driver.deviceGetAttribute(&value, each.number, device), "cuDeviceGetAttribute");
      answer.Set(each.name, value);
    }
    return answer;
  });
}

Napi::Value compileText(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&]() -> Napi::Value {
    const CompilerLibrary& compiler = loadCompiler(textsArgument(info, 0));
    auto* worker = new CompileWorker(info.Env(), compiler, textArgument(info, 1), textArgument(info, 2), textsArgument(info, 3));
    worker->Queue();
    return worker->promise();
  });
}

Napi::Object initialise(Napi::Env env, Napi::Object exports) {
  exports.Set("interface", 1);
  exports.Set("loadDriver", Napi::Function::New(env, loadDriverLibrary));
  exports.Set("loadCompiler", Napi::Function::New(env, loadCompilerLibrary));
  exports.Set("describeDevice", Napi::Function::New(env, describeDevice));
  exports.Set("compile", Napi::Function::New(env, compileText));
  exports.Set("Context", ContextObject::define(env));
  return exports;
}

}  // namespace

NODE_API_MODULE(statefuse_cuda, initialise)

}  // namespace statefuse
