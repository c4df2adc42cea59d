// Loads a plugin library into the real plugin registry of TensorRT (its dispatch runtime, which needs no GPU) and puts
// each promise of the plugins to the test. With a library built over cuda_shim it runs enqueue too, on the CPU, against
// the CPU kernels; compiled with -DTSM_EDGE_ON_GPU it does so on a GPU (benchmarks/gpu_check.sh).
//
//   tensorrt_driver V2|V3 PLUGIN_LIBRARY DISPATCH_LIBRARY shim|cuda|gpu
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"  // IPluginV2DynamicExt, in TensorRT 10

#include <NvInferRuntime.h>
#include <cuda_runtime_api.h>
#include <dlfcn.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "../core/c_api.h"
#include "../core/temporal_shift.h"

namespace {

using namespace nvinfer1;  // NOLINT: every other name here is TensorRT's

int checks = 0;
#define CHECK(condition, ...)                                      \
  do {                                                             \
    ++checks;                                                      \
    if (!(condition)) {                                            \
      std::fprintf(stderr, "line %d: %s: ", __LINE__, #condition); \
      std::fprintf(stderr, __VA_ARGS__);                           \
      std::fprintf(stderr, "\n");                                  \
      std::_Exit(1);                                               \
    }                                                              \
  } while (0)

// The last error that a plugin wrote. The runtime has a log of its own only where there is a GPU, so the plugins get
// this one as loadLibrary would give it to them.
class Log : public ILogger, public ILoggerFinder {
 public:
  ILogger* findLogger() override { return this; }
  void log(Severity severity, const char* text) noexcept override {
    if (severity <= Severity::kERROR) last = text;
  }
  std::string last;
};
Log the_log;

class Length : public IDimensionExpr {
 public:
  explicit Length(std::int64_t value) : value_(value) { mImpl = &value_; }

 private:
  struct Value : apiv::VDimensionExpr {
    explicit Value(std::int64_t v) : value(v) {}
    bool isConstant() const override { return value >= 0; }
    std::int64_t getConstantValue() const override { return value; }
    bool isSizeTensor() const override { return false; }
    std::int64_t value;
  } value_;
};

class Builder : public IExprBuilder {
 public:
  // Below 0: a length that is not known while the engine is built.
  DimsExprs shape(const std::vector<std::int64_t>& lengths) {
    DimsExprs dims{};
    dims.nbDims = static_cast<std::int32_t>(lengths.size());
    for (std::size_t i = 0; i < lengths.size(); ++i) {
      lengths_.push_back(new Length(lengths[i]));
      dims.d[i] = lengths_.back();
    }
    return dims;
  }
  ~Builder() override {
    for (Length* length : lengths_) delete length;
  }

 private:
  std::vector<Length*> lengths_;
};

Dims dims_of(const std::vector<std::int64_t>& lengths) {
  Dims dims{};
  dims.nbDims = static_cast<std::int32_t>(lengths.size());
  for (std::size_t i = 0; i < lengths.size(); ++i) dims.d[i] = lengths[i];
  return dims;
}

PluginTensorDesc describe(const std::vector<std::int64_t>& lengths, DataType type = DataType::kFLOAT,
                          TensorFormat format = TensorFormat::kLINEAR, float scale = 1) {
  PluginTensorDesc desc{};
  desc.dims = dims_of(lengths);
  desc.type = type;
  desc.format = format;
  desc.scale = scale;
  return desc;
}

struct Field {
  const char* name;
  PluginFieldType type;
  std::int32_t length;
  std::int64_t value;  // its first 32 bits are the value of an int32 on this machine
};

struct Fields {
  explicit Fields(const std::vector<Field>& list) : values(list) {
    for (const Field& f : values) fields.emplace_back(f.name, &f.value, f.type, f.length);
    collection.nbFields = static_cast<std::int32_t>(fields.size());
    collection.fields = fields.data();
  }
  const PluginFieldCollection* get() const { return &collection; }
  std::vector<Field> values;
  std::vector<PluginField> fields;
  PluginFieldCollection collection{};
};

constexpr auto kI32 = PluginFieldType::kINT32;
std::vector<Field> clip_fields(std::int64_t segment, std::int64_t fold, std::int64_t bidirectional) {
  return {
      {"n_segment", kI32, 1, segment}, {"fold", kI32, 1, fold}, {"bidirectional", kI32, 1, bidirectional}};
}

struct V2 {
  using Plugin = IPluginV2DynamicExt;
  static IPluginCreator* creator(IPluginRegistry* registry, const char* name) {
    IPluginCreatorInterface* const found = registry->getCreator(name, "1", "");
    return found == nullptr ? nullptr : static_cast<IPluginCreator*>(found);
  }
  static const PluginFieldCollection* names(IPluginRegistry* registry, const char* name) {
    return creator(registry, name)->getFieldNames();
  }
  static Plugin* create(IPluginRegistry* registry, const char* name, const PluginFieldCollection* fields) {
    return static_cast<Plugin*>(creator(registry, name)->createPlugin("layer", fields));
  }
  static void destroy(Plugin* plugin) { plugin->destroy(); }
  static Plugin* clone(Plugin* plugin) { return plugin->clone(); }
  static Plugin* reload(IPluginRegistry* registry, const char* name, Plugin* plugin) {
    std::vector<char> bytes(plugin->getSerializationSize());
    plugin->serialize(bytes.data());
    return static_cast<Plugin*>(
        creator(registry, name)->deserializePlugin("layer", bytes.data(), bytes.size()));
  }
  static void refuse_damage(IPluginRegistry* registry, const char* name, const char* other, Plugin* plugin) {
    std::vector<char> bytes(plugin->getSerializationSize());
    plugin->serialize(bytes.data());
    const auto load = [&](const char* as, const std::vector<char>& data, std::size_t size) {
      return creator(registry, as)->deserializePlugin("layer", data.data(), size);
    };
    CHECK(load(name, bytes, bytes.size() - 1) == nullptr, "a truncated plugin");
    CHECK(load(name, bytes, 0) == nullptr, "an empty plugin");
    CHECK(load(other, bytes, bytes.size()) == nullptr, "a plugin of %s", name);
    for (std::size_t i = 0; i < 12; ++i) {  // magic and version
      std::vector<char> damaged = bytes;
      damaged[i] ^= 0x40;
      CHECK(load(name, damaged, damaged.size()) == nullptr, "byte %zu changed", i);
    }
    CHECK(the_log.last.find("build the engine again") != std::string::npos, "log: %s", the_log.last.c_str());
  }
  static std::string name(Plugin* plugin) { return plugin->getPluginType(); }
  static std::int32_t outputs(Plugin* plugin) { return plugin->getNbOutputs(); }
  static bool shapes(Plugin* plugin, const std::vector<DimsExprs>& inputs, DimsExprs* out,
                     IExprBuilder& builder) {
    for (std::int32_t i = 0; i < plugin->getNbOutputs(); ++i) {
      out[i] =
          plugin->getOutputDimensions(i, inputs.data(), static_cast<std::int32_t>(inputs.size()), builder);
      if (out[i].nbDims < 0) return false;
    }
    return true;
  }
  static bool supports(Plugin* plugin, std::int32_t at, const std::vector<PluginTensorDesc>& all,
                       std::int32_t inputs) {
    return plugin->supportsFormatCombination(at, all.data(), inputs,
                                             static_cast<std::int32_t>(all.size()) - inputs);
  }
  static DataType type(Plugin* plugin, std::int32_t output, const std::vector<DataType>& inputs) {
    return plugin->getOutputDataType(output, inputs.data(), static_cast<std::int32_t>(inputs.size()));
  }
  static bool enqueue(Plugin* plugin, const PluginTensorDesc* in, const PluginTensorDesc* out,
                      const void* const* from, void* const* to) {
    return plugin->enqueue(in, out, from, to, nullptr, nullptr) == 0;
  }
};

struct V3 {
  using Plugin = IPluginV3;
  static IPluginCreatorV3One* creator(IPluginRegistry* registry, const char* name) {
    IPluginCreatorInterface* const found = registry->getCreator(name, "1", "");
    return found == nullptr ? nullptr : static_cast<IPluginCreatorV3One*>(found);
  }
  static const PluginFieldCollection* names(IPluginRegistry* registry, const char* name) {
    return creator(registry, name)->getFieldNames();
  }
  static Plugin* create(IPluginRegistry* registry, const char* name, const PluginFieldCollection* fields) {
    return creator(registry, name)->createPlugin("layer", fields, TensorRTPhase::kBUILD);
  }
  static void destroy(Plugin* plugin) { delete plugin; }
  static Plugin* clone(Plugin* plugin) { return plugin->clone(); }
  static Plugin* reload(IPluginRegistry* registry, const char* name, Plugin* plugin) {
    return creator(registry, name)
        ->createPlugin("layer", runtime(plugin)->getFieldsToSerialize(), TensorRTPhase::kRUNTIME);
  }
  static void refuse_damage(IPluginRegistry* registry, const char* name, const char* other, Plugin* plugin) {
    const auto load = [&](const char* as, const PluginFieldCollection* fields) {
      return creator(registry, as)->createPlugin("layer", fields, TensorRTPhase::kRUNTIME);
    };
    const PluginFieldCollection* const whole = runtime(plugin)->getFieldsToSerialize();
    if (whole->nbFields > 1) CHECK(load(other, whole) == nullptr, "a plugin of %s", name);
    for (std::int32_t left_out = 0; left_out < whole->nbFields; ++left_out) {
      std::vector<PluginField> some;
      for (std::int32_t i = 0; i < whole->nbFields; ++i) {
        if (i != left_out) some.push_back(whole->fields[i]);
      }
      const PluginFieldCollection part{static_cast<std::int32_t>(some.size()), some.data()};
      CHECK(load(name, &part) == nullptr, "without field %s", whole->fields[left_out].name);
    }
    const std::int32_t later = 2;
    std::vector<PluginField> fields(whole->fields, whole->fields + whole->nbFields);
    fields[0].data = &later;
    const PluginFieldCollection newer{whole->nbFields, fields.data()};
    CHECK(load(name, &newer) == nullptr, "another version");
    CHECK(the_log.last.find("build it again") != std::string::npos, "log: %s", the_log.last.c_str());
  }
  static IPluginV3OneCore* core(Plugin* plugin) {
    return static_cast<IPluginV3OneCore*>(plugin->getCapabilityInterface(PluginCapabilityType::kCORE));
  }
  static IPluginV3OneBuild* build(Plugin* plugin) {
    return static_cast<IPluginV3OneBuild*>(plugin->getCapabilityInterface(PluginCapabilityType::kBUILD));
  }
  static IPluginV3OneRuntime* runtime(Plugin* plugin) {
    return static_cast<IPluginV3OneRuntime*>(plugin->getCapabilityInterface(PluginCapabilityType::kRUNTIME));
  }
  static std::string name(Plugin* plugin) { return core(plugin)->getPluginName(); }
  static std::int32_t outputs(Plugin* plugin) { return build(plugin)->getNbOutputs(); }
  static bool shapes(Plugin* plugin, const std::vector<DimsExprs>& inputs, DimsExprs* out,
                     IExprBuilder& builder) {
    return build(plugin)->getOutputShapes(inputs.data(), static_cast<std::int32_t>(inputs.size()), nullptr, 0,
                                          out, outputs(plugin), builder) == 0;
  }
  static bool supports(Plugin* plugin, std::int32_t at, const std::vector<PluginTensorDesc>& all,
                       std::int32_t inputs) {
    std::vector<DynamicPluginTensorDesc> dynamic(all.size());
    for (std::size_t i = 0; i < all.size(); ++i) dynamic[i].desc = all[i];
    return build(plugin)->supportsFormatCombination(at, dynamic.data(), inputs,
                                                    static_cast<std::int32_t>(all.size()) - inputs);
  }
  static DataType type(Plugin* plugin, std::int32_t output, const std::vector<DataType>& inputs) {
    DataType types[2] = {};
    build(plugin)->getOutputDataTypes(types, outputs(plugin), inputs.data(),
                                      static_cast<std::int32_t>(inputs.size()));
    return types[output];
  }
  static bool enqueue(Plugin* plugin, const PluginTensorDesc* in, const PluginTensorDesc* out,
                      const void* const* from, void* const* to) {
    // As TensorRT does it: a copy attached to a context, told the shapes, then run.
    IPluginV3* const attached = runtime(plugin)->attachToContext(nullptr);
    const std::int32_t inputs = outputs(plugin);
    const bool accepted = runtime(attached)->onShapeChange(in, inputs, out, inputs) == 0;
    const bool ran = runtime(attached)->enqueue(in, out, from, to, nullptr, nullptr) == 0;
    CHECK(accepted || !ran, "enqueue ran what onShapeChange had refused");
    delete attached;
    return ran;
  }
};

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
  std::int32_t element_size, layout;
};
const std::vector<Storage> kStorages = {
    {DataType::kFLOAT, TensorFormat::kLINEAR, 4, TSM_EDGE_LINEAR},
    {DataType::kHALF, TensorFormat::kLINEAR, 2, TSM_EDGE_LINEAR},
    {DataType::kHALF, TensorFormat::kCHW2, 2, TSM_EDGE_CHW2},
    {DataType::kHALF, TensorFormat::kHWC8, 2, TSM_EDGE_HWC8},
    {DataType::kINT8, TensorFormat::kLINEAR, 1, TSM_EDGE_LINEAR},
    {DataType::kINT8, TensorFormat::kCHW4, 1, TSM_EDGE_CHW4},
    {DataType::kINT8, TensorFormat::kCHW32, 1, TSM_EDGE_CHW32},
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
  for (DataType type : {DataType::kFLOAT, DataType::kHALF, DataType::kINT8}) {
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

std::size_t bytes_of(const tsm_edge_tensor& tensor) {
  return static_cast<std::size_t>(tsm_edge_bytes(&tensor));
}

// Memory that the kernels reach: the host's with cuda_shim, else the GPU's.
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
    const tsm_edge_tensor x{8, 26, 7, 7, s.layout, s.element_size},
        cache{8, 3, 7, 7, s.layout, s.element_size};
    const auto xs = noise(bytes_of(x), 1), caches = noise(bytes_of(cache), 2);
    std::vector<unsigned char> expected_y(xs.size()), expected_next(caches.size());
    Memory x_memory(xs), cache_memory(caches), y(noise(xs.size(), 3)), next(noise(caches.size(), 4));
    const PluginTensorDesc descs[2] = {describe({8, 26, 7, 7}, s.type, s.format),
                                       describe({8, 3, 7, 7}, s.type, s.format)};
    const void* const in[2] = {x_memory.data(), cache_memory.data()};
    void* const out[2] = {y.data(), next.data()};
    CHECK(V::enqueue(step, descs, descs, in, out), "layout %d: %s", s.layout, the_log.last.c_str());
    CHECK(tsm_edge_shift_step(&x, 3, xs.data(), caches.data(), expected_y.data(), expected_next.data()) == 0,
          "CPU");
    CHECK(y.host() == expected_y && next.host() == expected_next, "step, layout %d", s.layout);
    CHECK(V::enqueue(clip, descs, descs, in, out), "layout %d: %s", s.layout, the_log.last.c_str());
    CHECK(tsm_edge_shift_clip(&x, 8, 3, 1, xs.data(), expected_y.data()) == 0, "CPU");
    CHECK(y.host() == expected_y, "clip, layout %d", s.layout);
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
  const auto int8 = [](std::int64_t channels, float scale) {
    return describe({1, channels, 7, 7}, DataType::kINT8, TensorFormat::kLINEAR, scale);
  };
  refused(step, {int8(24, 1), int8(3, 2)}, "tensor 1 has another scale", {int8(24, 1), int8(3, 1)});
  refused(step, {int8(24, 1), int8(3, 1)}, "tensor 1 has another scale", {int8(24, 1), int8(3, 2)});
  refused(step, {int8(24, 1), int8(3, 1)}, "tensor 0 has another scale", {int8(24, 2), int8(3, 1)});
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
  // Opened before there is a TensorRT: nothing to register with, and nothing breaks.
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

  // `trtexec --plugins`, ctypes.CDLL: opening it registers.
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
  // Left open at exit, as a program does that ends without taking anything back.
  open_library(argv[2]);
  std::printf("%s: %d checks\n", argv[1], checks);
  return 0;
}
