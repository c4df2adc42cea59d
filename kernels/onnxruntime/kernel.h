// A node of one of our ops in a loaded model: what it keeps, and what the runtime's callbacks do with it.
#ifndef TSM_EDGE_ONNXRUNTIME_KERNEL_H_
#define TSM_EDGE_ONNXRUNTIME_KERNEL_H_

#include <onnxruntime_c_api.h>

#include <cstdint>

#include "../core/temporal_shift.h"

namespace tsm_edge {
namespace ort {

// From that version of the API on: kernels are told shapes on loading; several kernels may share a name.
constexpr std::uint32_t kKernelShapesApi = 14, kOverloadsApi = 16;

// The API of the runtime that has registered the library, and its version. Set once, before anything else is called.
extern const OrtApi* g_api;
extern std::uint32_t g_api_version;

// Leave the function with the status of a call that failed.
#define TSM_EDGE_TRY(call)                           \
  do {                                               \
    if (OrtStatus* status_ = (call)) return status_; \
  } while (false)

// A status that says what is wrong, as printf does.
OrtStatus* invalid(const char* format, ...) __attribute__((format(printf, 1, 2)));

enum class Kind { kStep, kClip };
inline const char* name_of(Kind kind) { return kind == Kind::kStep ? "TemporalShiftStep" : "TemporalShift"; }

// What a node of a loaded model keeps.
struct Kernel {
  Kind kind;
  ONNXTensorElementDataType type;
  bool cuda;
  ClipShift<> clip;  // of Kind::kClip

  Size element() const { return type == ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT16 ? 2 : 4; }
};

// Reads and checks the attributes and, where the runtime tells them, the declared shapes of a node into kernel->clip.
OrtStatus* read_node(const OrtKernelInfo* info, Kernel* kernel);

// One run of the node.
OrtStatus* compute(const Kernel& kernel, OrtKernelContext* context);

}  // namespace ort
}  // namespace tsm_edge

#endif  // TSM_EDGE_ONNXRUNTIME_KERNEL_H_
