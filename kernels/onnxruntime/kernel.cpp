#include "kernel.h"

#include <cinttypes>
#include <cstdarg>
#include <cstdio>

#include "../core/temporal_shift_cpu.h"
#ifdef TSM_EDGE_WITH_CUDA
#include "../cuda/temporal_shift.cuh"
#endif

namespace tsm_edge {
namespace ort {

const OrtApi* g_api = nullptr;
std::uint32_t g_api_version = 0;

OrtStatus* invalid(const char* format, ...) {
  char text[512];
  va_list args;
  va_start(args, format);
  std::vsnprintf(text, sizeof text, format, args);
  va_end(args);
  return g_api->CreateStatus(ORT_INVALID_ARGUMENT, text);
}

namespace {

// Sizes of a tensor (n, c, h, w). A size that the model leaves open is -1.
struct Shape {
  Size n, c, h, w;
};

struct ShapeText {
  char text[96];
  explicit ShapeText(const Shape& s) {
    std::snprintf(text, sizeof text, "(%" PRId64 ", %" PRId64 ", %" PRId64 ", %" PRId64 ")", s.n, s.c, s.h,
                  s.w);
  }
};

bool differ(Size a, Size b) { return a >= 0 && b >= 0 && a != b; }
Size known(Size size, Size otherwise) { return size >= 0 ? size : otherwise; }

// An open size (-1) passes every check.
OrtStatus* check_step(const Shape& x, const Shape& cache) {
  if (differ(x.n, cache.n) || differ(x.h, cache.h) || differ(x.w, cache.w) ||
      (x.c >= 0 && cache.c >= 0 && cache.c > x.c)) {
    return invalid(
        "tsm_edge::TemporalShiftStep: cache: got shape %s, expected (N, F, H, W) of x %s with F <= C",
        ShapeText(cache).text, ShapeText(x).text);
  }
  return nullptr;
}

OrtStatus* check_clip(const Shape& x, const ClipShift<>& clip) {
  const char* fault =
      tsm_edge::clip_fault(known(x.n, 0), known(x.c, INT64_MAX), known(x.h, 0), known(x.w, 0), clip);
  if (fault == nullptr) return nullptr;
  return invalid("tsm_edge::TemporalShift: %s: got x %s, n_segment %" PRId64 ", fold %" PRId64
                 ", bidirectional %d",
                 fault, ShapeText(x).text, clip.segment, clip.fold, clip.bidirectional);
}

// Reads the shape of an input, actual or declared, and checks its type, because not every runtime does.
OrtStatus* read_tensor(const Kernel& kernel, const char* input, const OrtTensorTypeAndShapeInfo* info,
                       Shape* shape) {
  ONNXTensorElementDataType type;
  TSM_EDGE_TRY(g_api->GetTensorElementType(info, &type));
  if (type != kernel.type) {
    return invalid("tsm_edge::%s: %s: got element type %d, expected %d (ONNX numbers: 1 float32, 10 float16)",
                   name_of(kernel.kind), input, type, kernel.type);
  }
  std::size_t rank = 0;
  TSM_EDGE_TRY(g_api->GetDimensionsCount(info, &rank));
  if (rank != 4) {
    return invalid("tsm_edge::%s: %s: got %zu axes, expected 4 (N, C, H, W)", name_of(kernel.kind), input,
                   rank);
  }
  std::int64_t dims[4];
  TSM_EDGE_TRY(g_api->GetDimensions(info, dims, 4));
  *shape = Shape{dims[0], dims[1], dims[2], dims[3]};
  return nullptr;
}

OrtStatus* read_attribute(const OrtKernelInfo* info, const char* attribute, Size* value) {
  OrtStatus* status = g_api->KernelInfoGetAttribute_int64(info, attribute, value);
  if (status == nullptr) return nullptr;
  g_api->ReleaseStatus(status);
  return invalid("tsm_edge::TemporalShift: %s: expected an attribute of one integer", attribute);
}

OrtStatus* read_clip(const OrtKernelInfo* info, ClipShift<>* clip) {
  Size bidirectional = 0;
  TSM_EDGE_TRY(read_attribute(info, "n_segment", &clip->segment));
  TSM_EDGE_TRY(read_attribute(info, "fold", &clip->fold));
  TSM_EDGE_TRY(read_attribute(info, "bidirectional", &bidirectional));
  if (bidirectional != 0 && bidirectional != 1) {
    return invalid("tsm_edge::TemporalShift: bidirectional: got %" PRId64 ", expected 0 or 1", bidirectional);
  }
  clip->bidirectional = bidirectional == 1;
  return check_clip(Shape{-1, -1, -1, -1}, *clip);
}

// Reads the shape that the model declares for input `index`. Without a declaration all sizes are open.
OrtStatus* declared_shape(const OrtKernelInfo* info, const Kernel& kernel, std::size_t index,
                          const char* input, Shape* shape) {
  *shape = Shape{-1, -1, -1, -1};
  OrtTypeInfo* type = nullptr;
  TSM_EDGE_TRY(g_api->KernelInfo_GetInputTypeInfo(info, index, &type));
  const OrtTensorTypeAndShapeInfo* tensor = nullptr;
  OrtStatus* status = g_api->CastTypeInfoToTensorInfo(type, &tensor);
  std::size_t rank = 0;
  if (status == nullptr && tensor != nullptr) status = g_api->GetDimensionsCount(tensor, &rank);
  // An undeclared shape has rank 0, as a scalar has. A real scalar is refused at the first run.
  if (status == nullptr && rank > 0) status = read_tensor(kernel, input, tensor, shape);
  g_api->ReleaseTypeInfo(type);
  return status;
}

OrtStatus* check_declared_shapes(const OrtKernelInfo* info, const Kernel& kernel) {
  Shape x, cache;
  TSM_EDGE_TRY(declared_shape(info, kernel, 0, "x", &x));
  if (kernel.kind == Kind::kClip) return check_clip(x, kernel.clip);
  TSM_EDGE_TRY(declared_shape(info, kernel, 1, "cache", &cache));
  return check_step(x, cache);
}

OrtStatus* input(const Kernel& kernel, OrtKernelContext* context, std::size_t index, const char* name,
                 Shape* shape, void** data) {
  const OrtValue* value = nullptr;
  OrtTensorTypeAndShapeInfo* info = nullptr;
  TSM_EDGE_TRY(g_api->KernelContext_GetInput(context, index, &value));
  TSM_EDGE_TRY(g_api->GetTensorTypeAndShape(value, &info));
  OrtStatus* status = read_tensor(kernel, name, info, shape);
  g_api->ReleaseTensorTypeAndShapeInfo(info);
  if (status != nullptr) return status;
  // The API has no read-only access. The kernel only reads inputs, unless the runtime gave y the buffer of x.
  return g_api->GetTensorMutableData(const_cast<OrtValue*>(value), data);
}

OrtStatus* output(OrtKernelContext* context, std::size_t index, const Shape& shape, void** data) {
  const std::int64_t dims[4] = {shape.n, shape.c, shape.h, shape.w};
  OrtValue* value = nullptr;
  TSM_EDGE_TRY(g_api->KernelContext_GetOutput(context, index, dims, 4, &value));
  return g_api->GetTensorMutableData(value, data);
}

Extent<> extent(const Shape& s) { return tsm_edge::extent_of<Size>(Layout::kLinear, s.n, s.c, s.h, s.w); }

#ifdef TSM_EDGE_WITH_CUDA
OrtStatus* cuda_status(cudaError_t error) {
  return error == cudaSuccess ? nullptr : invalid("tsm_edge: CUDA: %s", cudaGetErrorString(error));
}
#endif

OrtStatus* run_step(const Kernel& kernel, OrtKernelContext* context, const void* x, const void* cache,
                    void* y, void* next, const Extent<>& whole, const Extent<>& part) {
  if (!kernel.cuda) {
    tsm_edge::cpu::shift_step(x, cache, y, next, whole, part, kernel.element());
    return nullptr;
  }
#ifdef TSM_EDGE_WITH_CUDA
  void* stream = nullptr;
  TSM_EDGE_TRY(g_api->KernelContext_GetGPUComputeStream(context, &stream));
  return cuda_status(tsm_edge::cuda::shift_step(
      x, cache, y, next, whole, part, static_cast<int>(kernel.element()), static_cast<cudaStream_t>(stream)));
#else
  static_cast<void>(context);
  return invalid("tsm_edge: built without CUDA");
#endif
}

OrtStatus* run_clip(const Kernel& kernel, OrtKernelContext* context, const void* x, void* y,
                    const Extent<>& whole) {
  if (!kernel.cuda) {
    tsm_edge::cpu::shift_clip(x, y, whole, kernel.clip, kernel.element());
    return nullptr;
  }
#ifdef TSM_EDGE_WITH_CUDA
  void* stream = nullptr;
  TSM_EDGE_TRY(g_api->KernelContext_GetGPUComputeStream(context, &stream));
  return cuda_status(tsm_edge::cuda::shift_clip(x, y, whole, kernel.clip, static_cast<int>(kernel.element()),
                                                static_cast<cudaStream_t>(stream)));
#else
  static_cast<void>(context);
  return invalid("tsm_edge: built without CUDA");
#endif
}

OrtStatus* compute_step(const Kernel& kernel, OrtKernelContext* context) {
  Shape x_shape, cache_shape;
  void *x, *cache, *y, *next;
  TSM_EDGE_TRY(input(kernel, context, 0, "x", &x_shape, &x));
  TSM_EDGE_TRY(input(kernel, context, 1, "cache", &cache_shape, &cache));
  TSM_EDGE_TRY(check_step(x_shape, cache_shape));
  TSM_EDGE_TRY(output(context, 0, x_shape, &y));
  TSM_EDGE_TRY(output(context, 1, cache_shape, &next));
  return run_step(kernel, context, x, cache, y, next, extent(x_shape), extent(cache_shape));
}

OrtStatus* compute_clip(const Kernel& kernel, OrtKernelContext* context) {
  Shape shape;
  void *x, *y;
  TSM_EDGE_TRY(input(kernel, context, 0, "x", &shape, &x));
  TSM_EDGE_TRY(check_clip(shape, kernel.clip));
  TSM_EDGE_TRY(output(context, 0, shape, &y));
  return run_clip(kernel, context, x, y, extent(shape));
}

}  // namespace

OrtStatus* read_node(const OrtKernelInfo* info, Kernel* kernel) {
  if (kernel->kind == Kind::kClip) TSM_EDGE_TRY(read_clip(info, &kernel->clip));
  return g_api_version >= kKernelShapesApi ? check_declared_shapes(info, *kernel) : nullptr;
}

OrtStatus* compute(const Kernel& kernel, OrtKernelContext* context) {
  return kernel.kind == Kind::kStep ? compute_step(kernel, context) : compute_clip(kernel, context);
}

}  // namespace ort
}  // namespace tsm_edge
