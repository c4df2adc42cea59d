// TemporalShiftStep and TemporalShift as IPluginV3, for TensorRT 10 and later.
#include <new>

#include "plugin_common.h"
#include "registry.h"

namespace tsm_edge {
namespace trt {
namespace {

using nvinfer1::DataType;
using nvinfer1::DimsExprs;
using nvinfer1::DynamicPluginTensorDesc;
using nvinfer1::PluginCapabilityType;
using nvinfer1::PluginField;
using nvinfer1::PluginFieldCollection;
using nvinfer1::PluginFieldType;
using nvinfer1::PluginTensorDesc;
using nvinfer1::TensorRTPhase;

// The field of an engine file that holds the version of the plugin's data.
constexpr const char* kSerialName = "tsm_edge_serial_version";
constexpr std::int32_t kSerialVersion = 1;

class Plugin : public nvinfer1::IPluginV3,
               public nvinfer1::IPluginV3OneCore,
               public nvinfer1::IPluginV3OneBuild,
               public nvinfer1::IPluginV3OneRuntime {
 public:
  explicit Plugin(const Op& op) : op_(op) {
    std::int32_t count = 0;
    fields_[count++] = PluginField(kSerialName, &kSerialVersion, PluginFieldType::kINT32, 1);
    const std::int32_t* const values[kAttributes] = {&op_.n_segment, &op_.fold, &op_.bidirectional};
    for (int i = 0; op.kind == Kind::kClip && i < kAttributes; ++i) {
      fields_[count++] = PluginField(kAttributeNames[i], values[i], PluginFieldType::kINT32, 1);
    }
    serialized_.nbFields = count;
    serialized_.fields = fields_;
  }
  Plugin(const Plugin&) = delete;  // fields_ points to members of this object; see clone()

  // IPluginV3
  nvinfer1::IPluginCapability* getCapabilityInterface(PluginCapabilityType type) noexcept override {
    switch (type) {
      case PluginCapabilityType::kCORE:
        return static_cast<nvinfer1::IPluginV3OneCore*>(this);
      case PluginCapabilityType::kBUILD:
        return static_cast<nvinfer1::IPluginV3OneBuild*>(this);
      case PluginCapabilityType::kRUNTIME:
        return static_cast<nvinfer1::IPluginV3OneRuntime*>(this);
    }
    return nullptr;
  }
  nvinfer1::IPluginV3* clone() noexcept override { return new (std::nothrow) Plugin(op_); }

  // IPluginV3OneCore
  const char* getPluginName() const noexcept override { return name_of(op_.kind); }
  const char* getPluginVersion() const noexcept override { return kPluginVersion; }
  const char* getPluginNamespace() const noexcept override { return ""; }

  // IPluginV3OneBuild
  std::int32_t configurePlugin(const DynamicPluginTensorDesc* inputs, std::int32_t,
                               const DynamicPluginTensorDesc*, std::int32_t) noexcept override {
    const PluginTensorDesc descriptions[2] = {inputs[0].desc, inputs[tensors_of(op_.kind) - 1].desc};
    return report(op_.kind, check_inputs(op_, descriptions)) ? 1 : 0;
  }
  std::int32_t getOutputDataTypes(DataType* outputs, std::int32_t count, const DataType* inputs,
                                  std::int32_t) const noexcept override {
    for (std::int32_t i = 0; i < count; ++i) outputs[i] = inputs[0];
    return 0;
  }
  std::int32_t getOutputShapes(const DimsExprs* inputs, std::int32_t input_count, const DimsExprs*,
                               std::int32_t, DimsExprs* outputs, std::int32_t output_count,
                               nvinfer1::IExprBuilder&) noexcept override {
    if (report(op_.kind, check_expressions(op_, inputs, input_count))) return 1;
    for (std::int32_t i = 0; i < output_count; ++i) outputs[i] = output_shape(inputs, i);
    return 0;
  }
  bool supportsFormatCombination(std::int32_t at, const DynamicPluginTensorDesc* tensors, std::int32_t,
                                 std::int32_t) noexcept override {
    return supports(tensors[at].desc, tensors[0].desc);
  }
  std::int32_t getNbOutputs() const noexcept override { return tensors_of(op_.kind); }

  // IPluginV3OneRuntime
  std::int32_t onShapeChange(const PluginTensorDesc* inputs, std::int32_t, const PluginTensorDesc*,
                             std::int32_t) noexcept override {
    return report(op_.kind, check_inputs(op_, inputs)) ? 1 : 0;
  }
  std::int32_t enqueue(const PluginTensorDesc* inputs, const PluginTensorDesc* outputs, const void* const* in,
                       void* const* out, void*, cudaStream_t stream) noexcept override {
    return trt::enqueue(op_, inputs, outputs, in, out, stream);
  }
  nvinfer1::IPluginV3* attachToContext(nvinfer1::IPluginResourceContext*) noexcept override {
    return clone();
  }
  const PluginFieldCollection* getFieldsToSerialize() noexcept override { return &serialized_; }

 private:
  const Op op_;
  PluginField fields_[kAttributes + 1];
  PluginFieldCollection serialized_{};
};

class Creator : public nvinfer1::IPluginCreatorV3One {
 public:
  explicit Creator(Kind kind) : kind_(kind) {
    for (int i = 0; i < kAttributes; ++i) {
      fields_[i] = PluginField(kAttributeNames[i], nullptr, PluginFieldType::kINT32, 1);
    }
    collection_.nbFields = kind == Kind::kClip ? kAttributes : 0;
    collection_.fields = fields_;
  }
  nvinfer1::IPluginV3* createPlugin(const char*, const PluginFieldCollection* fields,
                                    TensorRTPhase phase) noexcept override {
    Op op{kind_, 0, 0, 0};
    const bool from_engine = phase == TensorRTPhase::kRUNTIME;
    if (from_engine && report(kind_, check_version(fields))) return nullptr;
    if (report(kind_, read_attributes(fields, from_engine ? kSerialName : nullptr, &op))) return nullptr;
    return new (std::nothrow) Plugin(op);
  }
  const PluginFieldCollection* getFieldNames() noexcept override { return &collection_; }
  const char* getPluginName() const noexcept override { return name_of(kind_); }
  const char* getPluginVersion() const noexcept override { return kPluginVersion; }
  const char* getPluginNamespace() const noexcept override { return ""; }

 private:
  static Fault check_version(const PluginFieldCollection* fields) {
    for (std::int32_t i = 0; fields != nullptr && i < fields->nbFields; ++i) {
      const PluginField& field = fields->fields[i];
      if (field.name == nullptr || std::strcmp(field.name, kSerialName) != 0) continue;
      std::int32_t version = 0;
      const Fault fault = read_integer(field, &version);
      if (fault || version == kSerialVersion) return fault;
      return Fault::of("engine: has version %d of the plugin, expected %d; build it again", version,
                       kSerialVersion);
    }
    return Fault::of("%s: missing; build the engine again", kSerialName);
  }

  Kind kind_;
  PluginField fields_[kAttributes];
  PluginFieldCollection collection_{};
};

Creator step_creator(Kind::kStep);
Creator clip_creator(Kind::kClip);
nvinfer1::IPluginCreatorInterface* const creators[] = {&step_creator, &clip_creator};
Registration<nvinfer1::IPluginCreatorInterface> registration(creators, 2);

}  // namespace
}  // namespace trt
}  // namespace tsm_edge

// Registers the plugins with the TensorRT of this process, in case this library was opened before TensorRT. Returns the
// number of registered plugins: 2, or 0 if no TensorRT of this generation is loaded.
TSM_EDGE_TRT_API std::int32_t tsm_edge_trt_register() { return tsm_edge::trt::registration.add(); }

// For IPluginRegistry::loadLibrary, which registers the returned creators.
TSM_EDGE_TRT_API nvinfer1::IPluginCreatorInterface* const* getCreators(std::int32_t& count) {
  tsm_edge::trt::registration.remove();
  count = 2;
  return tsm_edge::trt::creators;
}

TSM_EDGE_TRT_API void setLoggerFinder(nvinfer1::ILoggerFinder* finder) {
  tsm_edge::trt::logger_finder() = finder;
}
