// The kernel of one node of our ops in a loaded model: its data, and the functions that the op's callbacks call.
#ifndef TSM_EDGE_ONNXRUNTIME_KERNEL_H_
#define TSM_EDGE_ONNXRUNTIME_KERNEL_H_

#include <onnxruntime_c_api.h>

#include <cstdint>

#include "../core/temporal_shift.h"

namespace tsm_edge {
namespace ort {

// The first API version whose kernels get the input shapes when a model is loaded, and the first one in which several
// kernels may share a name.
constexpr std::uint32_t kKernelShapesApi = 14, kOverloadsApi = 16;

// The API of the runtime that has registered this library, and its version. RegisterCustomOps sets them once, before it
// calls anything else.
extern const OrtApi* g_api;
extern std::uint32_t g_api_version;

// Return the status of a call that failed from the function.
#define TSM_EDGE_TRY(call)                           \
  do {                                               \
    if (OrtStatus* status_ = (call)) return status_; \
  } while (false)

// An error status with a message formatted as by printf.
OrtStatus* invalid(const char* format, ...) __attribute__((format(printf, 1, 2)));

enum class Kind { kStep, kClip };
inline const char* name_of(Kind kind) { return kind == Kind::kStep ? "TemporalShiftStep" : "TemporalShift"; }

// The data of one node.
struct Kernel {
  Kind kind;
  ONNXTensorElementDataType type;
  bool cuda;
  ClipShift<> clip;  // only used by Kind::kClip

  Size element() const { return type == ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT16 ? 2 : 4; }
};

// Reads and checks the attributes of a node (into kernel->clip) and, if the runtime gives them, its declared shapes.
OrtStatus* read_node(const OrtKernelInfo* info, Kernel* kernel);

// Runs the node once.
OrtStatus* compute(const Kernel& kernel, OrtKernelContext* context);

}  // namespace ort
}  // namespace tsm_edge

#endif  // TSM_EDGE_ONNXRUNTIME_KERNEL_H_
