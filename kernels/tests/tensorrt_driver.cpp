// Loads a plugin library into the real plugin registry of TensorRT (the dispatch runtime, which needs no GPU) and tests
// the plugins. With a library built with cuda_shim it also runs enqueue on the CPU and compares the results with those
// of the CPU kernels. Compiled with -DTSM_EDGE_ON_GPU it runs enqueue on a GPU (benchmarks/gpu_check.sh).
//
//   tensorrt_driver V2|V3 PLUGIN_LIBRARY DISPATCH_LIBRARY shim|cuda|gpu
#include <NvInferRuntime.h>
#include <dlfcn.h>

#include <cstdio>
#include <cstring>

#include "tensorrt_checks.h"
#include "tensorrt_generations.h"
#include "tensorrt_host.h"

namespace {

void* open_library(const char* path) {
  void* const handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  CHECK(handle != nullptr, "%s", dlerror());
  return handle;
}

template <typename Function>
Function function_of(void* library, const char* name) {
  void* const symbol = dlsym(library, name);
  CHECK(symbol != nullptr, "%s", name);
  Function function;
  std::memcpy(&function, &symbol, sizeof(symbol));
  return function;
}

void give_log(const char* path) {
  void* const library = open_library(path);
  function_of<void (*)(ILoggerFinder*)>(library, "setLoggerFinder")(&the_log);
  dlclose(library);
}

template <typename V>
void check_library(const char* path, const char* dispatch_path, bool runs) {
  // The library is opened before TensorRT, so it cannot register yet.
  void* early = open_library(path);
  const auto register_late = function_of<std::int32_t (*)()>(early, "tsm_edge_trt_register");
  CHECK(register_late() == 0, "registered with nothing");
  void* const dispatch = open_library(dispatch_path);
  auto* const registry = function_of<IPluginRegistry* (*)()>(dispatch, "getPluginRegistry")();
  CHECK(registry->getCreator(kStep, "1", "") == nullptr, "already there");
  CHECK(register_late() == 2 && register_late() == 2, "registered late");
  CHECK(registry->getCreator(kStep, "1", "") != nullptr && registry->getCreator(kClip, "1", "") != nullptr,
        "found");
  CHECK(registry->getCreator(kStep, "2", "") == nullptr, "another version");
  CHECK(registry->getCreator(kStep, "1", "tsm_edge") == nullptr, "another namespace");
  dlclose(early);
  CHECK(registry->getCreator(kStep, "1", "") == nullptr, "still there after the library was closed");

  // `trtexec --plugins` and ctypes.CDLL only open the library, which registers the plugins.
  void* const opened = open_library(path);
  give_log(path);
  check_plugins<V>(registry, runs);
  dlclose(opened);
  CHECK(registry->getCreator(kClip, "1", "") == nullptr, "still there after the library was closed");

  // `trtexec --dynamicPlugins`, IPluginRegistry::loadLibrary, load_library of Python.
  auto* const handle = registry->loadLibrary(path);
  CHECK(handle != nullptr, "loadLibrary: %s", the_log.last.c_str());
  give_log(path);
  check_plugins<V>(registry, runs);
  registry->deregisterLibrary(handle);
  CHECK(registry->getCreator(kStep, "1", "") == nullptr, "still there after deregisterLibrary");
}

}  // namespace

int main(int argc, char** argv) {
  CHECK(argc == 5, "usage: tensorrt_driver V2|V3 PLUGIN_LIBRARY DISPATCH_LIBRARY shim|cuda|gpu");
  const bool runs = std::strcmp(argv[4], "cuda") != 0;
  if (std::strcmp(argv[1], "V2") == 0) {
    check_library<V2>(argv[2], argv[3], runs);
  } else {
    check_library<V3>(argv[2], argv[3], runs);
  }
  // The library stays open at exit, as in a program that never closes it.
  open_library(argv[2]);
  std::printf("%s: %d checks\n", argv[1], checks);
  return 0;
}
