// Finds the TensorRT that this process has loaded, with its plugin registry and log. Our library is not linked to
// TensorRT. So the same file works with the full, lean and dispatch runtimes of a generation, and TensorRT's symbols
// need not be global (Python does not make them global).
#ifndef TSM_EDGE_TENSORRT_REGISTRY_H_
#define TSM_EDGE_TENSORRT_REGISTRY_H_

#include <NvInferRuntime.h>
#include <dlfcn.h>

#include <cstdio>
#include <cstring>

#include "plugin_common.h"

#define TSM_EDGE_TRT_API extern "C" __attribute__((visibility("default")))

namespace tsm_edge {
namespace trt {

// A function of the loaded TensorRT, or null. Only the major version that this file was compiled for is searched.
inline void* runtime_symbol(const char* name) {
  for (const char* library : {"libnvinfer.so.%d", "libnvinfer_lean.so.%d", "libnvinfer_dispatch.so.%d"}) {
    char file[64];
    std::snprintf(file, sizeof(file), library, NV_TENSORRT_MAJOR);
    void* const handle = dlopen(file, RTLD_LAZY | RTLD_NOLOAD);
    if (handle == nullptr) continue;
    void* const symbol = dlsym(handle, name);
    dlclose(handle);  // undoes the reference that RTLD_NOLOAD added; TensorRT stays loaded
    if (symbol != nullptr) return symbol;
  }
  return dlsym(RTLD_DEFAULT, name);  // a process with TensorRT linked statically
}

template <typename Function>
Function runtime_function(const char* name) {
  void* const symbol = runtime_symbol(name);
  Function function = nullptr;
  static_assert(sizeof(function) == sizeof(symbol), "POSIX");
  std::memcpy(&function, &symbol, sizeof(symbol));
  return function;
}

inline nvinfer1::IPluginRegistry* plugin_registry() {
  const auto get = runtime_function<nvinfer1::IPluginRegistry* (*)()>("getPluginRegistry");
  return get == nullptr ? nullptr : get();
}

// TensorRT 8.6 and later pass an ILoggerFinder to a library that IPluginRegistry::loadLibrary opens.
#if NV_TENSORRT_MAJOR > 8 || (NV_TENSORRT_MAJOR == 8 && NV_TENSORRT_MINOR >= 6)
#define TSM_EDGE_TRT_LOGGER_FINDER
inline nvinfer1::ILoggerFinder*& logger_finder() {
  static nvinfer1::ILoggerFinder* finder = nullptr;
  return finder;
}
#endif

inline nvinfer1::ILogger* logger() {
#ifdef TSM_EDGE_TRT_LOGGER_FINDER
  if (logger_finder() != nullptr) return logger_finder()->findLogger();
#endif
  const auto get = runtime_function<nvinfer1::ILogger* (*)()>("getLogger");
  return get == nullptr ? nullptr : get();
}

inline bool report(Kind kind, const Fault& fault) noexcept {
  if (!fault) return false;
  nvinfer1::ILogger* const log = logger();
  if (log != nullptr) {
    char line[320];
    std::snprintf(line, sizeof(line), "tsm_edge.%s: %s", name_of(kind), fault.text());
    log->log(nvinfer1::ILogger::Severity::kERROR, line);
  }
  return true;
}

// The creators that this library registers itself, so that `trtexec --plugins` and ctypes.CDLL only need to open it.
// They are deregistered before the library is closed, and before loadLibrary registers them.
template <typename Creator>
class Registration {
 public:
  Registration(Creator* const* creators, int count) : creators_(creators), count_(count) { add(); }
  ~Registration() { remove(); }

  // Registers the creators. Returns how many of them are in the registry.
  int add() {
    nvinfer1::IPluginRegistry* const registry = plugin_registry();
    if (registry == nullptr) return 0;
    for (int i = 0; registry_ == nullptr && i < count_; ++i) {
      if (!registry->registerCreator(*creators_[i], "")) return 0;
    }
    registry_ = registry;
    return count_;
  }

  void remove() {
    // At exit TensorRT may have been closed already.
    if (registry_ == nullptr || registry_ != plugin_registry()) return;
    for (int i = 0; i < count_; ++i) registry_->deregisterCreator(*creators_[i]);
    registry_ = nullptr;
  }

 private:
  Creator* const* creators_;
  int count_;
  nvinfer1::IPluginRegistry* registry_ = nullptr;
};

}  // namespace trt
}  // namespace tsm_edge

#endif  // TSM_EDGE_TENSORRT_REGISTRY_H_
