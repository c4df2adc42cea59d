// The temporal shift as ONNX Runtime custom operators: TemporalShiftStep and TemporalShift of domain
// "tsm_edge", version 1, float32 and float16, on the CPU and, where built with it, in CUDA.
//
// One source for onnxruntime 1.10 and later. The C API only grows at the end of its structs, so this file
// asks the runtime for the API it has and keeps away from what came later:
//   from 1.14   the kernel is told the shapes of its inputs, so bad ones are refused when the model is loaded
//   from 1.16   callbacks return a status (V2); before, an error can only be thrown through the runtime, as
//               ONNX Runtime's own C++ wrapper does. Several kernels may share a name (float16, CUDA); before,
//               float32 on the CPU is all there is, and a float16 model, which is refused, must be run without
//               this library, by the function body it carries (tsm_edge/kernel_library.py: onnxruntime_can)
//   from 1.17   the op tells the shapes of its outputs
//   from 1.18   y may take the buffer of x where the runtime has no other use for it
#include <onnxruntime_c_api.h>

#include <cinttypes>
#include <cstdarg>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <exception>
#include <new>

#include "../core/temporal_shift.h"
#include "../core/temporal_shift_cpu.h"
#ifdef TSM_EDGE_WITH_CUDA
#include "../cuda/temporal_shift.cuh"
#endif

namespace {

using tsm_edge::ClipShift;
using tsm_edge::Extent;
using tsm_edge::Layout;
using tsm_edge::Size;

constexpr std::uint32_t kKernelShapesApi = 14, kOverloadsApi = 16;

// Leave the function with the status of a call that failed.
#define TSM_EDGE_TRY(call)                           \
  do {                                               \
    if (OrtStatus* status_ = (call)) return status_; \
  } while (false)

const char kCuda[] = "CUDAExecutionProvider";

const OrtApi* g_api = nullptr;
std::uint32_t g_api_version = 0;

OrtStatus* invalid(const char* format, ...) __attribute__((format(printf, 1, 2)));
OrtStatus* invalid(const char* format, ...) {
  char text[512];
  va_list args;
  va_start(args, format);
  std::vsnprintf(text, sizeof text, format, args);
  va_end(args);
  return g_api->CreateStatus(ORT_INVALID_ARGUMENT, text);
}

// Sizes of a tensor of four axes (n, c, h, w); -1 where the model leaves one open.
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

enum class Kind { kStep, kClip };
const char* name_of(Kind kind) { return kind == Kind::kStep ? "TemporalShiftStep" : "TemporalShift"; }

bool differ(Size a, Size b) { return a >= 0 && b >= 0 && a != b; }
Size known(Size size, Size otherwise) { return size >= 0 ? size : otherwise; }

// Sizes that are open (-1) are taken to fit.
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

// One entry of the runtime's table of operators. The runtime hands its base back to the callbacks.
struct Op : OrtCustomOp {
  Kind kind;
  ONNXTensorElementDataType type;
  bool cuda;
};

const Op& op_of(const OrtCustomOp* op) { return *static_cast<const Op*>(op); }

// What a node of a loaded model keeps.
struct Kernel {
  Kind kind;
  ONNXTensorElementDataType type;
  bool cuda;
  ClipShift<> clip;

  Size element() const { return type == ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT16 ? 2 : 4; }
};

// The shape of a tensor that an input has or is declared with. Not every runtime compares the types itself.
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

// The shape that the model declares for input `index`; all open where it declares none.
OrtStatus* declared_shape(const OrtKernelInfo* info, const Kernel& kernel, std::size_t index,
                          const char* input, Shape* shape) {
  *shape = Shape{-1, -1, -1, -1};
  OrtTypeInfo* type = nullptr;
  TSM_EDGE_TRY(g_api->KernelInfo_GetInputTypeInfo(info, index, &type));
  const OrtTensorTypeAndShapeInfo* tensor = nullptr;
  OrtStatus* status = g_api->CastTypeInfoToTensorInfo(type, &tensor);
  std::size_t rank = 0;
  if (status == nullptr && tensor != nullptr) status = g_api->GetDimensionsCount(tensor, &rank);
  // No declared shape reads as no axes, as a scalar does; a true scalar is refused at the first run.
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

OrtStatus* create_kernel(const Op& op, const OrtKernelInfo* info, void** out) {
  *out = nullptr;
  Kernel kernel{op.kind, op.type, op.cuda, ClipShift<>{1, 0, false}};
  if (op.kind == Kind::kClip) TSM_EDGE_TRY(read_clip(info, &kernel.clip));
  if (g_api_version >= kKernelShapesApi) TSM_EDGE_TRY(check_declared_shapes(info, kernel));
  *out = new (std::nothrow) Kernel(kernel);
  return *out != nullptr ? nullptr : g_api->CreateStatus(ORT_FAIL, "tsm_edge: out of memory");
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
  // The API has no read-only access; inputs are only read, but where the runtime made y of the same buffer.
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

OrtStatus* compute(void* op_kernel, OrtKernelContext* context) {
  const Kernel& kernel = *static_cast<const Kernel*>(op_kernel);
  return kernel.kind == Kind::kStep ? compute_step(kernel, context) : compute_clip(kernel, context);
}

// Before 1.16 nothing else carries an error out of a callback. A class of our own, because std::runtime_error
// would ask for a newer libstdc++ than everything else here.
struct Error : std::exception {
  char text[512];
  const char* what() const noexcept override { return text; }
};

void throw_if(OrtStatus* status) {
  if (status == nullptr) return;
  Error error;
  std::snprintf(error.text, sizeof error.text, "%s", g_api->GetErrorMessage(status));
  g_api->ReleaseStatus(status);
  throw error;
}

// Whether a shape can be passed on: it is known, and each open size has a name. One without (a Reshape to -1
// upstream) would be passed on as the number -1, which later nodes take for a size.
OrtStatus* can_be_told(const OrtTensorTypeAndShapeInfo* info, bool* told) {
  *told = false;
  std::size_t rank = 0;
  TSM_EDGE_TRY(g_api->GetDimensionsCount(info, &rank));
  if (rank != 4) return nullptr;
  std::int64_t dims[4];
  const char* names[4];
  TSM_EDGE_TRY(g_api->GetDimensions(info, dims, 4));
  TSM_EDGE_TRY(g_api->GetSymbolicDimensions(info, names, 4));
  *told = true;
  for (int i = 0; i < 4; ++i) *told = *told && (dims[i] >= 0 || names[i][0] != '\0');
  return nullptr;
}

// y has the shape of x, next that of cache. Where a shape cannot be told the runtime finds it when it runs.
OrtStatus* infer_shapes(const OrtCustomOp* op, OrtShapeInferContext* context) {
  const std::size_t count = op->GetInputTypeCount(op);
  for (std::size_t i = 0; i < count; ++i) {
    OrtTensorTypeAndShapeInfo* info = nullptr;
    TSM_EDGE_TRY(g_api->ShapeInferContext_GetInputTypeShape(context, i, &info));
    bool told = false;
    TSM_EDGE_TRY(can_be_told(info, &told));
    if (told) TSM_EDGE_TRY(g_api->ShapeInferContext_SetOutputTypeShape(context, i, info));
  }
  return nullptr;
}

// y may live where x did. The runtime gives the arrays back; they are not of the heap.
std::size_t may_inplace(int** inputs, int** outputs) {
  static int x = 0, y = 0;
  *inputs = &x;
  *outputs = &y;
  return 1;
}

void fill_callbacks(Op* op) {
  op->version = g_api_version;
  op->GetName = [](const OrtCustomOp* self) { return name_of(op_of(self).kind); };
  op->GetExecutionProviderType = [](const OrtCustomOp* self) -> const char* {
    return op_of(self).cuda ? kCuda : nullptr;
  };
  op->GetInputType = [](const OrtCustomOp* self, std::size_t) { return op_of(self).type; };
  op->GetOutputType = op->GetInputType;
  op->GetInputTypeCount = [](const OrtCustomOp* self) -> std::size_t {
    return op_of(self).kind == Kind::kStep ? 2 : 1;
  };
  op->GetOutputTypeCount = op->GetInputTypeCount;
  op->GetInputCharacteristic = [](const OrtCustomOp*, std::size_t) { return INPUT_OUTPUT_REQUIRED; };
  op->GetOutputCharacteristic = op->GetInputCharacteristic;
  op->GetInputMemoryType = [](const OrtCustomOp*, std::size_t) { return OrtMemTypeDefault; };
  op->CreateKernel = [](const OrtCustomOp* self, const OrtApi*, const OrtKernelInfo* info) {
    void* kernel;
    throw_if(create_kernel(op_of(self), info, &kernel));
    return kernel;
  };
  op->CreateKernelV2 = [](const OrtCustomOp* self, const OrtApi*, const OrtKernelInfo* info, void** kernel) {
    return create_kernel(op_of(self), info, kernel);
  };
  op->KernelCompute = [](void* kernel, OrtKernelContext* context) { throw_if(compute(kernel, context)); };
  op->KernelComputeV2 = compute;
  op->KernelDestroy = [](void* kernel) { delete static_cast<Kernel*>(kernel); };
  op->GetStartVersion = [](const OrtCustomOp*) { return 1; };
  op->GetEndVersion = op->GetStartVersion;
  op->InferOutputShapeFn = infer_shapes;
  if (op->cuda && op->kind == Kind::kClip) return;  // the CUDA kernel has no in-place form of a clip
  op->GetMayInplace = may_inplace;
  op->ReleaseMayInplace = [](int*, int*) {};
}

// "1.<minor>.<patch>": the version of the C API is the minor version of the runtime.
std::uint32_t api_version_of(const OrtApiBase* base) {
  // Read by hand: sscanf and strtol are symbols of the newest glibc wherever that is what compiles this.
  const char* text = base->GetVersionString();
  if (std::strncmp(text, "1.", 2) != 0) return ORT_API_VERSION;
  std::uint32_t minor = 0;
  for (text += 2; *text >= '0' && *text <= '9' && minor < ORT_API_VERSION; ++text) {
    minor = 10 * minor + static_cast<std::uint32_t>(*text - '0');
  }
  return minor < ORT_API_VERSION ? minor : ORT_API_VERSION;
}

// Whether this library and the runtime both have CUDA.
OrtStatus* find_cuda(bool* found) {
  *found = false;
#ifdef TSM_EDGE_WITH_CUDA
  if (g_api_version < kOverloadsApi) return nullptr;
  char** providers = nullptr;
  int count = 0;
  TSM_EDGE_TRY(g_api->GetAvailableProviders(&providers, &count));
  for (int i = 0; i < count; ++i) *found = *found || std::strcmp(providers[i], kCuda) == 0;
  return g_api->ReleaseAvailableProviders(providers, count);
#else
  return nullptr;
#endif
}

// Everything that is registered. The runtime keeps pointers to it for as long as any session lives, which may
// be longer than the library is held (hence -z nodelete), so nothing of this is ever freed.
struct Registry {
  const OrtApiBase* base;
  OrtCustomOpDomain* domain = nullptr;
  OrtStatus* status = nullptr;
  std::size_t count = 0;
  Op ops[8];

  explicit Registry(const OrtApiBase* api_base) : base(api_base), ops() {
    g_api_version = api_version_of(base);
    g_api = base->GetApi(g_api_version);
    if (g_api != nullptr) status = fill();
  }

  OrtStatus* fill() {
    bool cuda = false;
    TSM_EDGE_TRY(find_cuda(&cuda));
    TSM_EDGE_TRY(g_api->CreateCustomOpDomain("tsm_edge", &domain));
    for (Kind kind : {Kind::kStep, Kind::kClip}) {
      TSM_EDGE_TRY(add(kind, ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT, false));
      if (g_api_version >= kOverloadsApi)
        TSM_EDGE_TRY(add(kind, ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT16, false));
      if (cuda) TSM_EDGE_TRY(add(kind, ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT, true));
      if (cuda) TSM_EDGE_TRY(add(kind, ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT16, true));
    }
    return nullptr;
  }

  OrtStatus* add(Kind kind, ONNXTensorElementDataType type, bool cuda) {
    Op* op = &ops[count++];
    op->kind = kind;
    op->type = type;
    op->cuda = cuda;
    fill_callbacks(op);
    return g_api->CustomOpDomain_Add(domain, op);
  }
};

}  // namespace

extern "C" __attribute__((visibility("default"))) OrtStatus* RegisterCustomOps(OrtSessionOptions* options,
                                                                               const OrtApiBase* base);

OrtStatus* RegisterCustomOps(OrtSessionOptions* options, const OrtApiBase* base) {
  static Registry* const registry = new Registry(base);
  // A runtime of another major version. Without its API there is no status to return either; with nothing
  // registered the model runs by the function body it carries.
  if (g_api == nullptr) return nullptr;
  if (registry->base != base)
    return invalid("tsm_edge: the library is in use by another ONNX Runtime of this process");
  if (registry->status != nullptr) return invalid("tsm_edge: %s", g_api->GetErrorMessage(registry->status));
  return g_api->AddCustomOpDomain(options, registry->domain);
}
