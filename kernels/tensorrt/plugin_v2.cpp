// TemporalShiftStep and TemporalShift as IPluginV2DynamicExt, for TensorRT 8.2 (JetPack 4.6 on the Jetson Nano) and
// later. This file uses only API that 8.2 has.

// TensorRT 10 marks this interface as deprecated; 8.2 has no other one.
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"

#include <new>

#include "plugin_common.h"
#include "registry.h"

namespace tsm_edge {
namespace trt {
namespace {

using nvinfer1::DataType;
using nvinfer1::DimsExprs;
using nvinfer1::DynamicPluginTensorDesc;
using nvinfer1::PluginField;
using nvinfer1::PluginFieldCollection;
using nvinfer1::PluginFieldType;
using nvinfer1::PluginTensorDesc;

// The data of a plugin in an engine file.
struct Serialized {
  char magic[8];
  std::int32_t version;
  Op op;
};
constexpr char kMagic[8] = {'t', 's', 'm', '_', 'e', 'd', 'g', 'e'};
constexpr std::int32_t kSerialVersion = 1;

class Plugin : public nvinfer1::IPluginV2DynamicExt {
 public:
  explicit Plugin(const Op& op) : op_(op) {}

  // IPluginV2DynamicExt
  nvinfer1::IPluginV2DynamicExt* clone() const noexcept override {
    Plugin* const copy = new (std::nothrow) Plugin(op_);
    if (copy != nullptr) copy->setPluginNamespace(namespace_);
    return copy;
  }
  DimsExprs getOutputDimensions(std::int32_t index, const DimsExprs* inputs, std::int32_t count,
                                nvinfer1::IExprBuilder&) noexcept override {
    if (!report(op_.kind, check_expressions(op_, inputs, count))) return output_shape(inputs, index);
    DimsExprs none{};
    none.nbDims = -1;  // the only way to refuse in this function
    return none;
  }
  bool supportsFormatCombination(std::int32_t at, const PluginTensorDesc* tensors, std::int32_t,
                                 std::int32_t) noexcept override {
    return supports(tensors[at], tensors[0]);
  }
  void configurePlugin(const DynamicPluginTensorDesc* inputs, std::int32_t, const DynamicPluginTensorDesc*,
                       std::int32_t) noexcept override {
    // This function cannot refuse. enqueue refuses if the engine runs.
    const PluginTensorDesc descriptions[2] = {inputs[0].desc, inputs[tensors_of(op_.kind) - 1].desc};
    report(op_.kind, check_inputs(op_, descriptions));
  }
  std::size_t getWorkspaceSize(const PluginTensorDesc*, std::int32_t, const PluginTensorDesc*,
                               std::int32_t) const noexcept override {
    return 0;
  }
  std::int32_t enqueue(const PluginTensorDesc* inputs, const PluginTensorDesc* outputs, const void* const* in,
                       void* const* out, void*, cudaStream_t stream) noexcept override {
    return trt::enqueue(op_, inputs, outputs, in, out, stream);
  }

  // IPluginV2Ext
  DataType getOutputDataType(std::int32_t, const DataType* types, std::int32_t) const noexcept override {
    return types[0];
  }

  // IPluginV2
  const char* getPluginType() const noexcept override { return name_of(op_.kind); }
  const char* getPluginVersion() const noexcept override { return kPluginVersion; }
  std::int32_t getNbOutputs() const noexcept override { return tensors_of(op_.kind); }
  std::int32_t initialize() noexcept override { return 0; }
  void terminate() noexcept override {}
  std::size_t getSerializationSize() const noexcept override { return sizeof(Serialized); }
  void serialize(void* buffer) const noexcept override {
    Serialized data{};
    std::memcpy(data.magic, kMagic, sizeof(kMagic));
    data.version = kSerialVersion;
    data.op = op_;
    std::memcpy(buffer, &data, sizeof(data));
  }
  void destroy() noexcept override { delete this; }
  void setPluginNamespace(const char* name) noexcept override {
    std::snprintf(namespace_, sizeof(namespace_), "%s", name == nullptr ? "" : name);
  }
  const char* getPluginNamespace() const noexcept override { return namespace_; }

 private:
  Op op_;
  char namespace_[128] = {};
};

class Creator : public nvinfer1::IPluginCreator {
 public:
  explicit Creator(Kind kind) : kind_(kind) {
    for (int i = 0; i < kAttributes; ++i) {
      fields_[i] = PluginField(kAttributeNames[i], nullptr, PluginFieldType::kINT32, 1);
    }
    collection_.nbFields = kind == Kind::kClip ? kAttributes : 0;
    collection_.fields = fields_;
  }
  const char* getPluginName() const noexcept override { return name_of(kind_); }
  const char* getPluginVersion() const noexcept override { return kPluginVersion; }
  const PluginFieldCollection* getFieldNames() noexcept override { return &collection_; }
  nvinfer1::IPluginV2* createPlugin(const char*, const PluginFieldCollection* fields) noexcept override {
    Op op{kind_, 0, 0, 0};
    if (report(kind_, read_attributes(fields, nullptr, &op))) return nullptr;
    return named(new (std::nothrow) Plugin(op));
  }
  nvinfer1::IPluginV2* deserializePlugin(const char*, const void* bytes,
                                         std::size_t length) noexcept override {
    Serialized data;
    if (bytes == nullptr || length != sizeof(data)) {
      report(kind_, Fault::of("serialized plugin: got %zu bytes, expected %zu", length, sizeof(data)));
      return nullptr;
    }
    std::memcpy(&data, bytes, sizeof(data));
    if (std::memcmp(data.magic, kMagic, sizeof(kMagic)) != 0 || data.version != kSerialVersion ||
        data.op.kind != kind_) {
      report(kind_, Fault::of("serialized plugin: of another release or another op; build the engine again"));
      return nullptr;
    }
    if (report(kind_, check_attributes(data.op))) return nullptr;
    return named(new (std::nothrow) Plugin(data.op));
  }
  void setPluginNamespace(const char* name) noexcept override {
    std::snprintf(namespace_, sizeof(namespace_), "%s", name == nullptr ? "" : name);
  }
  const char* getPluginNamespace() const noexcept override { return namespace_; }

 private:
  Plugin* named(Plugin* plugin) const {
    if (plugin != nullptr) plugin->setPluginNamespace(namespace_);
    return plugin;
  }

  Kind kind_;
  PluginField fields_[kAttributes];
  PluginFieldCollection collection_{};
  char namespace_[128] = {};
};

Creator step_creator(Kind::kStep);
Creator clip_creator(Kind::kClip);
nvinfer1::IPluginCreator* const creators[] = {&step_creator, &clip_creator};
Registration<nvinfer1::IPluginCreator> registration(creators, 2);

}  // namespace
}  // namespace trt
}  // namespace tsm_edge

// Registers the plugins with the TensorRT of this process, in case this library was opened before TensorRT. Returns the
// number of registered plugins: 2, or 0 if no TensorRT of this generation is loaded.
TSM_EDGE_TRT_API std::int32_t tsm_edge_trt_register() { return tsm_edge::trt::registration.add(); }

// For IPluginRegistry::loadLibrary (TensorRT 8.6 and later), which registers the returned creators.
TSM_EDGE_TRT_API nvinfer1::IPluginCreator* const* getPluginCreators(std::int32_t& count) {
  tsm_edge::trt::registration.remove();
  count = 2;
  return tsm_edge::trt::creators;
}

#if NV_TENSORRT_MAJOR >= 10
// loadLibrary of TensorRT 10.16 refuses a library that has only getPluginCreators.
TSM_EDGE_TRT_API nvinfer1::IPluginCreatorInterface* const* getCreators(std::int32_t& count) {
  static nvinfer1::IPluginCreatorInterface* const list[] = {&tsm_edge::trt::step_creator,
                                                            &tsm_edge::trt::clip_creator};
  tsm_edge::trt::registration.remove();
  count = 2;
  return list;
}
#endif

#ifdef TSM_EDGE_TRT_LOGGER_FINDER
TSM_EDGE_TRT_API void setLoggerFinder(nvinfer1::ILoggerFinder* finder) {
  tsm_edge::trt::logger_finder() = finder;
}
#endif
