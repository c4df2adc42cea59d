// The checks that a plugin of either generation `V` must pass (tensorrt_generations.h). Only tensorrt_driver.cpp
// includes this file.
#ifndef TSM_EDGE_TESTS_TENSORRT_CHECKS_H_
#define TSM_EDGE_TESTS_TENSORRT_CHECKS_H_

#include <NvInferRuntime.h>
#include <cuda_runtime_api.h>

#include <cstring>
#include <string>
#include <vector>

#include "../core/temporal_shift_cpu.h"
#include "tensorrt_host.h"

namespace {

using namespace nvinfer1;  // NOLINT: every other name here is TensorRT's

const char* const kStep = "TemporalShiftStep";
const char* const kClip = "TemporalShift";

template <typename V>
void check_attributes(IPluginRegistry* registry) {
  CHECK(V::names(registry, kStep)->nbFields == 0, "TemporalShiftStep has no attributes");
  const PluginFieldCollection* const names = V::names(registry, kClip);
  CHECK(names->nbFields == 3, "got %d", names->nbFields);
  for (const char* name : {"n_segment", "fold", "bidirectional"}) {
    bool found = false;
    for (std::int32_t i = 0; i < names->nbFields; ++i) found |= std::strcmp(names->fields[i].name, name) == 0;
    CHECK(found, "%s", name);
  }
  std::vector<Field> wide = clip_fields(8, 3, 1), wrong_type = wide, twice = wide, unknown = wide,
                     longer = wide;
  for (Field& field : wide) field.type = PluginFieldType::kINT64;
  auto* const plugin = V::create(registry, kClip, Fields(wide).get());
  CHECK(plugin != nullptr, "64-bit attributes");
  V::destroy(plugin);
  wide[0].value = std::int64_t(1) << 40;
  wrong_type[1].type = PluginFieldType::kFLOAT32;
  twice.push_back(twice[0]);
  unknown.push_back({"fold_div", kI32, 1, 8});
  longer[2].length = 2;
  const struct {
    const char* op;
    std::vector<Field> fields;
    const char* says;
  } bad[] = {
      {kClip, clip_fields(0, 3, 1), "n_segment"},
      {kClip, clip_fields(-8, 3, 1), "n_segment"},
      {kClip, clip_fields(8, -1, 1), "fold"},
      {kClip, clip_fields(8, 3, 2), "bidirectional"},
      {kClip, {}, "missing"},
      {kClip, {{"fold", kI32, 1, 3}}, "missing"},
      {kClip, wide, "32 bits"},
      {kClip, wrong_type, "expected an integer"},
      {kClip, twice, "twice"},
      {kClip, unknown, "no such attribute"},
      {kClip, longer, "expected one"},
      {kStep, clip_fields(8, 3, 1), "no such attribute"},
  };
  for (const auto& one : bad) {
    the_log.last.clear();
    CHECK(V::create(registry, one.op, Fields(one.fields).get()) == nullptr, "%s", one.says);
    CHECK(the_log.last.find(one.op) != std::string::npos && the_log.last.find(one.says) != std::string::npos,
          "log: %s, expected %s", the_log.last.c_str(), one.says);
  }
}

template <typename V>
void check_shapes(typename V::Plugin* step, typename V::Plugin* clip) {
  Builder builder;
  DimsExprs out[2];
  for (std::int64_t n : {std::int64_t(2), std::int64_t(-1)}) {
    const std::vector<DimsExprs> inputs = {builder.shape({n, 24, 7, 9}), builder.shape({n, 3, 7, 9})};
    CHECK(V::shapes(step, inputs, out, builder), "N = %d", static_cast<int>(n));
    CHECK(out[0].nbDims == 4 && out[1].nbDims == 4, "rank");
    for (int axis = 0; axis < 4; ++axis) {
      CHECK(out[0].d[axis]->getConstantValue() == inputs[0].d[axis]->getConstantValue(), "y, axis %d", axis);
      CHECK(out[1].d[axis]->getConstantValue() == inputs[1].d[axis]->getConstantValue(), "next, axis %d",
            axis);
    }
  }
  CHECK(V::shapes(clip, {builder.shape({16, 24, 7, 7})}, out, builder), "two clips of 8");
  CHECK(out[0].d[0]->getConstantValue() == 16 && out[0].d[1]->getConstantValue() == 24, "y");
  const std::vector<std::vector<std::vector<std::int64_t>>> bad_steps = {
      {{2, 24, 7, 7}, {2, 25, 7, 7}},
      {{2, 24, 7, 7}, {3, 3, 7, 7}},
      {{2, 24, 7, 7}, {2, 3, 8, 7}},
      {{2, 24, 7, 7}, {2, 3, 7, 8}},
      {{2, 24, 7, 7}, {2, 3, 7}},
      {{24, 7, 7}, {3, 7, 7}},
      {{2, 24, 7, 7}},
  };
  for (const auto& bad : bad_steps) {
    std::vector<DimsExprs> inputs;
    for (const auto& lengths : bad) inputs.push_back(builder.shape(lengths));
    CHECK(!V::shapes(step, inputs, out, builder), "a bad shape was taken");
  }
  for (const auto& bad : std::vector<std::vector<std::int64_t>>{{9, 24, 7, 7}, {8, 5, 7, 7}, {8, 24, 7}}) {
    CHECK(!V::shapes(clip, {builder.shape(bad)}, out, builder), "a bad clip was taken");
  }
}

struct Storage {
  DataType type;
  TensorFormat format;
  std::int32_t element_size;
  tsm_edge::Layout layout;
};
const std::vector<Storage> kStorages = {
    {DataType::kFLOAT, TensorFormat::kLINEAR, 4, tsm_edge::Layout::kLinear},
    {DataType::kHALF, TensorFormat::kLINEAR, 2, tsm_edge::Layout::kLinear},
    {DataType::kHALF, TensorFormat::kCHW2, 2, tsm_edge::Layout::kCHW2},
    {DataType::kHALF, TensorFormat::kHWC8, 2, tsm_edge::Layout::kHWC8},
};

template <typename V>
void check_formats(typename V::Plugin* plugin, std::int32_t inputs) {
  int taken = 0;
  for (int type = 0; type <= static_cast<int>(DataType::kBOOL); ++type) {
    for (int format = 0; format <= static_cast<int>(TensorFormat::kDHWC); ++format) {
      const auto desc =
          describe({1, 24, 7, 7}, static_cast<DataType>(type), static_cast<TensorFormat>(format));
      std::vector<PluginTensorDesc> all(2 * inputs, desc);
      bool listed = false;
      for (const Storage& s : kStorages) listed |= s.type == desc.type && s.format == desc.format;
      for (std::int32_t at = 0; at < 2 * inputs; ++at) {
        CHECK(V::supports(plugin, at, all, inputs) == listed, "type %d, format %d", type, format);
      }
      taken += listed;
      all.back().type = desc.type == DataType::kFLOAT ? DataType::kHALF : DataType::kFLOAT;
      all.back().format = TensorFormat::kLINEAR;
      CHECK(!V::supports(plugin, 2 * inputs - 1, all, inputs), "two types in one op");
    }
  }
  CHECK(taken == static_cast<int>(kStorages.size()), "got %d", taken);
  for (DataType type : {DataType::kFLOAT, DataType::kHALF}) {
    for (std::int32_t i = 0; i < V::outputs(plugin); ++i) {
      CHECK(V::type(plugin, i, std::vector<DataType>(inputs, type)) == type, "output %d", i);
    }
  }
}

std::vector<unsigned char> noise(std::size_t bytes, unsigned seed) {
  std::vector<unsigned char> data(bytes);
  for (unsigned char& byte : data)
    byte = static_cast<unsigned char>((seed = seed * 1664525u + 1013904223u) >> 24);
  return data;
}

// Memory that the kernels can access: host memory with cuda_shim, else GPU memory.
class Memory {
 public:
#ifdef TSM_EDGE_ON_GPU
  explicit Memory(const std::vector<unsigned char>& host) : size_(host.size()) {
    CHECK(cudaMalloc(&data_, size_) == cudaSuccess, "cudaMalloc");
    CHECK(cudaMemcpy(data_, host.data(), size_, cudaMemcpyHostToDevice) == cudaSuccess, "cudaMemcpy");
  }
  ~Memory() { cudaFree(data_); }
  std::vector<unsigned char> host() const {
    std::vector<unsigned char> copy(size_);
    CHECK(cudaMemcpy(copy.data(), data_, size_, cudaMemcpyDeviceToHost) == cudaSuccess, "cudaMemcpy");
    return copy;
  }
  void* data() { return data_; }

 private:
  void* data_ = nullptr;
  std::size_t size_;
#else
  explicit Memory(const std::vector<unsigned char>& host) : bytes_(host) {}
  const std::vector<unsigned char>& host() const { return bytes_; }
  void* data() { return bytes_.data(); }

 private:
  std::vector<unsigned char> bytes_;
#endif
};

template <typename V>
void check_values(typename V::Plugin* step, typename V::Plugin* clip) {
  for (const Storage& s : kStorages) {
    const auto x = tsm_edge::extent_of<tsm_edge::Size>(s.layout, 8, 26, 7, 7),
               cache = tsm_edge::extent_of<tsm_edge::Size>(s.layout, 8, 3, 7, 7);
    const auto xs = noise(x.size() * s.element_size, 1), caches = noise(cache.size() * s.element_size, 2);
    const int layout = static_cast<int>(s.layout);
    std::vector<unsigned char> expected_y(xs.size()), expected_next(caches.size());
    Memory x_memory(xs), cache_memory(caches), y(noise(xs.size(), 3)), next(noise(caches.size(), 4));
    const PluginTensorDesc descs[2] = {describe({8, 26, 7, 7}, s.type, s.format),
                                       describe({8, 3, 7, 7}, s.type, s.format)};
    const void* const in[2] = {x_memory.data(), cache_memory.data()};
    void* const out[2] = {y.data(), next.data()};
    CHECK(V::enqueue(step, descs, descs, in, out), "layout %d: %s", layout, the_log.last.c_str());
    tsm_edge::cpu::shift_step(xs.data(), caches.data(), expected_y.data(), expected_next.data(), x, cache,
                              s.element_size);
    CHECK(y.host() == expected_y && next.host() == expected_next, "step, layout %d", layout);
    CHECK(V::enqueue(clip, descs, descs, in, out), "layout %d: %s", layout, the_log.last.c_str());
    tsm_edge::cpu::shift_clip(xs.data(), expected_y.data(), x, tsm_edge::ClipShift<>{8, 3, true},
                              s.element_size);
    CHECK(y.host() == expected_y, "clip, layout %d", layout);
  }
}

template <typename V>
void check_refusals(typename V::Plugin* step, typename V::Plugin* clip) {
  const auto refused = [](typename V::Plugin* plugin, std::vector<PluginTensorDesc> descs, const char* says,
                          std::vector<PluginTensorDesc> outputs = {}) {
    const std::vector<unsigned char> memory(1 << 16);
    std::vector<unsigned char> target(1 << 16, 0xA5);
    const void* const in[2] = {memory.data(), memory.data()};
    void* const out[2] = {target.data(), target.data()};
    the_log.last.clear();
    descs.resize(2, descs[0]);
    if (outputs.empty()) outputs = descs;
    CHECK(!V::enqueue(plugin, descs.data(), outputs.data(), in, out), "%s", says);
    CHECK(the_log.last.find(says) != std::string::npos, "log: %s, expected: %s", the_log.last.c_str(), says);
    CHECK(target == std::vector<unsigned char>(1 << 16, 0xA5), "%s: something was written", says);
  };
  refused(step, {describe({1, 24, 7, 7}), describe({1, 25, 7, 7})}, "x has only");
  refused(step, {describe({1, 24, 7, 7}), describe({1, 3, 7, 8})}, "expected that of x");
  refused(step, {describe({24, 7, 7}), describe({3, 7, 7})}, "four");
  refused(clip, {describe({9, 24, 7, 7})}, "multiple");
  refused(clip, {describe({8, 5, 7, 7})}, "would be shifted");
  // int8 is refused in every format, also where all scales are equal, or all read as -1 (not set).
  for (int format = 0; format <= static_cast<int>(TensorFormat::kDHWC); ++format) {
    for (const float scale : {1.0f, 0.0f, -1.0f}) {
      const auto int8 = [&](std::int64_t channels) {
        return describe({8, channels, 7, 7}, DataType::kINT8, static_cast<TensorFormat>(format), scale);
      };
      refused(step, {int8(24), int8(3)}, "tensor 0: got type 2");
      refused(clip, {int8(24)}, "tensor 0: got type 2");
    }
  }
  const auto half = [](std::int64_t channels, TensorFormat format) {
    return describe({8, channels, 7, 7}, DataType::kHALF, format);
  };
  const auto linear = TensorFormat::kLINEAR, vector = TensorFormat::kHWC8;
  refused(step, {half(24, linear), half(3, vector)}, "tensor 1: got type 1 in format 2");
  refused(step, {half(24, linear), half(3, linear)}, "tensor 3: got type 1 in format 2",
          {half(24, linear), half(3, vector)});
}

template <typename V>
void check_plugins(IPluginRegistry* registry, bool runs) {
  check_attributes<V>(registry);
  auto* const step = V::create(registry, kStep, Fields({}).get());
  auto* const clip = V::create(registry, kClip, Fields(clip_fields(8, 3, 1)).get());
  CHECK(step != nullptr && clip != nullptr, "created: %s", the_log.last.c_str());
  auto* const step_copy = V::clone(step);
  auto* const clip_copy = V::clone(clip);
  auto* const step_loaded = V::reload(registry, kStep, step_copy);
  auto* const clip_loaded = V::reload(registry, kClip, clip_copy);
  CHECK(step_loaded != nullptr && clip_loaded != nullptr, "loaded: %s", the_log.last.c_str());
  V::refuse_damage(registry, kClip, kStep, clip);
  V::refuse_damage(registry, kStep, kClip, step);
  V::destroy(step);
  V::destroy(clip);
  for (auto* plugin : {step_copy, step_loaded, clip_copy, clip_loaded}) {
    const bool is_step = plugin == step_copy || plugin == step_loaded;
    CHECK(V::name(plugin) == (is_step ? kStep : kClip) && V::outputs(plugin) == (is_step ? 2 : 1),
          "identity");
    check_formats<V>(plugin, is_step ? 2 : 1);
  }
  check_shapes<V>(step_copy, clip_copy);
  check_shapes<V>(step_loaded, clip_loaded);
  check_refusals<V>(step_loaded, clip_loaded);
  if (runs) {
    check_values<V>(step_copy, clip_copy);
    check_values<V>(step_loaded, clip_loaded);
  }
  for (auto* plugin : {step_copy, step_loaded, clip_copy, clip_loaded}) V::destroy(plugin);
}

}  // namespace

#endif  // TSM_EDGE_TESTS_TENSORRT_CHECKS_H_
