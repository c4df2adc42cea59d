// The objects that TensorRT passes to a plugin (log, shape expressions, tensor descriptions, attributes), and CHECK.
// Only tensorrt_driver.cpp includes this file.
#ifndef TSM_EDGE_TESTS_TENSORRT_HOST_H_
#define TSM_EDGE_TESTS_TENSORRT_HOST_H_

#pragma GCC diagnostic ignored "-Wdeprecated-declarations"  // IPluginV2DynamicExt, in TensorRT 10

#include <NvInferRuntime.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

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

// A log that keeps the last error of a plugin. The runtime has a log only on a machine with a GPU, so the driver passes
// this one to the plugins, as loadLibrary does.
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
  // A length below 0 is not known while the engine is built.
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
  std::int64_t value;  // an int32 field reads its first 32 bits (little-endian machines)
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

}  // namespace

#endif  // TSM_EDGE_TESTS_TENSORRT_HOST_H_
