// The temporal shift as ONNX Runtime custom operators: TemporalShiftStep and TemporalShift of domain
// "tsm_edge", version 1, float32 and float16, on the CPU and, where built with it, in CUDA.
//
// One source for onnxruntime 1.10 and later. The C API only grows at the end of its structs, so this file
// asks the runtime for the API it has and keeps away from what came later:
//   from 1.14   the kernel is told the shapes of its inputs, so bad ones are refused when the model is loaded
//   from 1.16   callbacks return a status (V2); before, an error can only be thrown through the runtime, as
//               ONNX Runtime's own C++ wrapper does. Several kernels may share a name (float16, CUDA); before,
//               float32 on the CPU is all there is, and a float16 model, which is refused, must be run without
//               this library, by the function body it carries (tsm_edge/native/library.py: onnxruntime_can)
//   from 1.17   the op tells the shapes of its outputs
//   from 1.18   y may take the buffer of x where the runtime has no other use for it
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <exception>
#include <initializer_list>
#include <new>

#include "kernel.h"

namespace {

using namespace tsm_edge::ort;  // NOLINT: the other half of this library

const char kCuda[] = "CUDAExecutionProvider";

// One entry of the runtime's table of operators. The runtime hands its base back to the callbacks.
struct Op : OrtCustomOp {
  Kind kind;
  ONNXTensorElementDataType type;
  bool cuda;
};

const Op& op_of(const OrtCustomOp* op) { return *static_cast<const Op*>(op); }

OrtStatus* create_kernel(const Op& op, const OrtKernelInfo* info, void** out) {
  *out = nullptr;
  Kernel kernel{op.kind, op.type, op.cuda, tsm_edge::ClipShift<>{1, 0, false}};
  TSM_EDGE_TRY(read_node(info, &kernel));
  *out = new (std::nothrow) Kernel(kernel);
  return *out != nullptr ? nullptr : g_api->CreateStatus(ORT_FAIL, "tsm_edge: out of memory");
}

OrtStatus* compute_op(void* kernel, OrtKernelContext* context) {
  return compute(*static_cast<const Kernel*>(kernel), context);
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
  op->KernelCompute = [](void* kernel, OrtKernelContext* context) { throw_if(compute_op(kernel, context)); };
  op->KernelComputeV2 = compute_op;
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

// Whether CUDA kernels are in here; where not, a session on a GPU does better without this library.
extern "C" __attribute__((visibility("default"))) std::int32_t tsm_edge_onnxruntime_has_cuda();

std::int32_t tsm_edge_onnxruntime_has_cuda() {
#ifdef TSM_EDGE_WITH_CUDA
  return 1;
#else
  return 0;
#endif
}

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
