// Code that both plugin generations use: the attributes of the ops, the supported types and formats, the checks, and
// the call of the kernels. It is C++14 and uses only names that TensorRT 8.2 has. Nothing here throws, because
// TensorRT's interfaces are noexcept.
#ifndef TSM_EDGE_TENSORRT_PLUGIN_COMMON_H_
#define TSM_EDGE_TENSORRT_PLUGIN_COMMON_H_

#include <NvInferRuntime.h>

#include <cstdint>
#include <cstdio>
#include <cstring>

#include "../cuda/temporal_shift.cuh"

namespace tsm_edge {
namespace trt {

// The ONNX parsers search for a plugin with the op_type of the node, version "1" and an empty namespace.
constexpr const char* kPluginVersion = "1";

enum class Kind : std::int32_t { kStep = 0, kClip = 1 };

// An op and its attributes. TemporalShiftStep has no attributes: its fold is the number of channels of the cache.
struct Op {
  Kind kind;
  std::int32_t n_segment;
  std::int32_t fold;
  std::int32_t bidirectional;
};

inline const char* name_of(Kind kind) { return kind == Kind::kStep ? "TemporalShiftStep" : "TemporalShift"; }

// The number of inputs, which is that of outputs too: x, cache -> y, next; or x -> y.
inline std::int32_t tensors_of(Kind kind) { return kind == Kind::kStep ? 2 : 1; }

// An error message for TensorRT's log. An empty one means no error.
class Fault {
 public:
  template <typename... Values>
  static Fault of(const char* format, Values... values) {
    Fault fault;
    std::snprintf(fault.text_, sizeof(fault.text_), format, values...);
    return fault;
  }
  static Fault none() { return Fault(); }
  explicit operator bool() const { return text_[0] != '\0'; }
  const char* text() const { return text_; }

 private:
  char text_[256] = {};
};

// Writes a fault to TensorRT's log (registry.h). Returns whether there is one.
inline bool report(Kind kind, const Fault& fault) noexcept;

constexpr int kAttributes = 3;
constexpr const char* kAttributeNames[kAttributes] = {"n_segment", "fold", "bidirectional"};

inline Fault check_attributes(const Op& op) {
  if (op.kind == Kind::kStep) return Fault::none();
  if (op.n_segment < 1) return Fault::of("n_segment: got %d, expected at least 1", op.n_segment);
  if (op.fold < 0) return Fault::of("fold: got %d, expected at least 0", op.fold);
  if (op.bidirectional != 0 && op.bidirectional != 1) {
    return Fault::of("bidirectional: got %d, expected 0 or 1", op.bidirectional);
  }
  return Fault::none();
}

// Reads an integer attribute. The parsers pass integers with 32 bits (TensorRT 8) or 64 bits.
inline Fault read_integer(const nvinfer1::PluginField& field, std::int32_t* value) {
  if (field.data == nullptr || field.length != 1) {
    return Fault::of("%s: got %d values, expected one", field.name, static_cast<int>(field.length));
  }
  if (field.type == nvinfer1::PluginFieldType::kINT32) {
    std::memcpy(value, field.data, sizeof(*value));
    return Fault::none();
  }
#if NV_TENSORRT_MAJOR >= 10
  if (field.type == nvinfer1::PluginFieldType::kINT64) {
    std::int64_t wide;
    std::memcpy(&wide, field.data, sizeof(wide));
    if (wide < INT32_MIN || wide > INT32_MAX) return Fault::of("%s: got a value past 32 bits", field.name);
    *value = static_cast<std::int32_t>(wide);
    return Fault::none();
  }
#endif
  return Fault::of("%s: got field type %d, expected an integer", field.name, static_cast<int>(field.type));
}

// Reads the attributes of `op` from a creator's fields. Each attribute must be there once. A field named `also` is
// ignored (null: no field). All other fields are refused, so that a misspelt attribute is an error.
inline Fault read_attributes(const nvinfer1::PluginFieldCollection* fields, const char* also, Op* op) {
  bool seen[kAttributes] = {};
  const std::int32_t count = fields == nullptr ? 0 : fields->nbFields;
  for (std::int32_t i = 0; i < count; ++i) {
    const nvinfer1::PluginField& field = fields->fields[i];
    if (field.name == nullptr) return Fault::of("a field has no name");
    if (also != nullptr && std::strcmp(field.name, also) == 0) continue;
    std::int32_t* const values[kAttributes] = {&op->n_segment, &op->fold, &op->bidirectional};
    int which = op->kind == Kind::kClip ? 0 : kAttributes;
    while (which < kAttributes && std::strcmp(field.name, kAttributeNames[which]) != 0) ++which;
    if (which == kAttributes) return Fault::of("%.64s: no such attribute", field.name);
    if (seen[which]) return Fault::of("%s: given twice", field.name);
    seen[which] = true;
    const Fault fault = read_integer(field, values[which]);
    if (fault) return fault;
  }
  for (int i = 0; op->kind == Kind::kClip && i < kAttributes; ++i) {
    if (!seen[i]) return Fault::of("%s: missing", kAttributeNames[i]);
  }
  return check_attributes(*op);
}

// The element size and layout of a type and format. The size is 0 if the plugins do not take the pair. Float16 may be
// vectorised, so that TensorRT need not reformat x and y between the convolutions of a float16 network. The network's
// own inputs and outputs are linear in all our engines (tsm_edge/engines/tensorrt/compat.py). There is no int8: its
// values stand for value * scale, x and the cache may have different scales, and a scale that is not set reads as -1.
struct Storage {
  int element_size;
  Layout layout;
};

inline Storage storage_of(nvinfer1::DataType type, nvinfer1::TensorFormat format) {
  using nvinfer1::DataType;
  using nvinfer1::TensorFormat;
  const Storage none{0, Layout::kLinear};
  const bool linear = format == TensorFormat::kLINEAR;
  switch (type) {
    case DataType::kFLOAT:
      return linear ? Storage{4, Layout::kLinear} : none;
    case DataType::kHALF:
      return linear                          ? Storage{2, Layout::kLinear}
             : format == TensorFormat::kCHW2 ? Storage{2, Layout::kCHW2}
             : format == TensorFormat::kHWC8 ? Storage{2, Layout::kHWC8}
                                             : none;
    default:
      return none;
  }
}

// All tensors of an op have the same type and format, because a shift only moves elements.
inline bool supports(const nvinfer1::PluginTensorDesc& at, const nvinfer1::PluginTensorDesc& first) {
  return storage_of(at.type, at.format).element_size != 0 && at.type == first.type &&
         at.format == first.format;
}

// Whether two lengths contradict each other. A length below 0 is not known yet.
inline bool differ(std::int64_t a, std::int64_t b) { return a >= 0 && b >= 0 && a != b; }

// Checks the sizes of the inputs. A size below 0 is not known while the engine is built.
inline Fault check_shapes(const Op& op, const nvinfer1::Dims& x, const nvinfer1::Dims* cache) {
  if (x.nbDims != 4)
    return Fault::of("x: got %d axes, expected four (N, C, H, W)", static_cast<int>(x.nbDims));
  const std::int64_t channels = x.d[1];
  if (op.kind == Kind::kClip) {
    const std::int64_t moved = op.bidirectional ? 2 * std::int64_t(op.fold) : op.fold;
    if (channels >= 0 && moved > channels) {
      return Fault::of("fold: %lld channels would be shifted, x has %lld", static_cast<long long>(moved),
                       static_cast<long long>(channels));
    }
    if (x.d[0] >= 0 && x.d[0] % op.n_segment != 0) {
      return Fault::of("x: got %lld frames, expected a multiple of n_segment = %d",
                       static_cast<long long>(x.d[0]), op.n_segment);
    }
    return Fault::none();
  }
  if (cache->nbDims != 4) {
    return Fault::of("cache: got %d axes, expected four (N, F, H, W)", static_cast<int>(cache->nbDims));
  }
  for (int axis : {0, 2, 3}) {
    if (differ(x.d[axis], cache->d[axis])) {
      return Fault::of("cache: got length %lld on axis %d, expected that of x, %lld",
                       static_cast<long long>(cache->d[axis]), axis, static_cast<long long>(x.d[axis]));
    }
  }
  if (channels >= 0 && cache->d[1] > channels) {
    return Fault::of("cache: got %lld channels, x has only %lld", static_cast<long long>(cache->d[1]),
                     static_cast<long long>(channels));
  }
  return Fault::none();
}

inline Fault check_inputs(const Op& op, const nvinfer1::PluginTensorDesc* inputs) {
  return check_shapes(op, inputs[0].dims, op.kind == Kind::kStep ? &inputs[1].dims : nullptr);
}

// The shape of output `index`: y has the shape of x, next that of the cache.
inline nvinfer1::DimsExprs output_shape(const nvinfer1::DimsExprs* inputs, std::int32_t index) {
  return inputs[index];
}

// Checks the sizes while they are expressions. An expression that is no constant is not known yet.
inline Fault check_expressions(const Op& op, const nvinfer1::DimsExprs* inputs, std::int32_t count) {
  if (count != tensors_of(op.kind)) {
    return Fault::of("got %d inputs, expected %d", static_cast<int>(count),
                     static_cast<int>(tensors_of(op.kind)));
  }
  nvinfer1::Dims shapes[2] = {};
  for (std::int32_t i = 0; i < count; ++i) {
    shapes[i].nbDims = inputs[i].nbDims;
    for (std::int32_t axis = 0; axis < inputs[i].nbDims && axis < nvinfer1::Dims::MAX_DIMS; ++axis) {
      const nvinfer1::IDimensionExpr* const length = inputs[i].d[axis];
      shapes[i].d[axis] = length->isConstant() ? length->getConstantValue() : -1;
    }
  }
  return check_shapes(op, shapes[0], &shapes[1]);
}

// Runs the op on `stream`. Returns 0, or another value if the engine must stop.
inline std::int32_t enqueue(const Op& op, const nvinfer1::PluginTensorDesc* inputs,
                            const nvinfer1::PluginTensorDesc* outputs, const void* const* in,
                            void* const* out, cudaStream_t stream) {
  const Storage storage = storage_of(inputs[0].type, inputs[0].format);
  Fault fault = check_inputs(op, inputs);
  for (std::int32_t i = 0; !fault && i < 2 * tensors_of(op.kind); ++i) {
    const auto& tensor = i < tensors_of(op.kind) ? inputs[i] : outputs[i - tensors_of(op.kind)];
    if (supports(tensor, inputs[0])) continue;
    fault = Fault::of("tensor %d: got type %d in format %d, expected what supportsFormatCombination takes", i,
                      static_cast<int>(tensor.type), static_cast<int>(tensor.format));
  }
  if (report(op.kind, fault)) return 1;
  const auto extent = [&](const nvinfer1::Dims& d) {
    return extent_of<Size>(storage.layout, d.d[0], d.d[1], d.d[2], d.d[3]);
  };
  const cudaError_t error = op.kind == Kind::kStep
                                ? cuda::shift_step(in[0], in[1], out[0], out[1], extent(inputs[0].dims),
                                                   extent(inputs[1].dims), storage.element_size, stream)
                                : cuda::shift_clip(in[0], out[0], extent(inputs[0].dims),
                                                   ClipShift<>{op.n_segment, op.fold, op.bidirectional != 0},
                                                   storage.element_size, stream);
  if (error == cudaSuccess) return 0;
  report(op.kind, Fault::of("launch: %s", cudaGetErrorString(error)));
  return 1;
}

}  // namespace trt
}  // namespace tsm_edge

#endif  // TSM_EDGE_TENSORRT_PLUGIN_COMMON_H_
