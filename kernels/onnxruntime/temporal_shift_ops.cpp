// The temporal shift as ONNX Runtime custom ops: TemporalShiftStep and TemporalShift of domain "tsm_edge",
// version 1, float32 and float16, on the CPU and, if built with CUDA, on the GPU.
//
// The same library works with ONNX Runtime 1.10 and later. The C API only grows at the end of its structs, so
// this file asks the runtime for its API version and uses nothing newer:
//   from 1.14   the kernel gets the shapes of its inputs, so bad shapes are refused when the model is loaded
//   from 1.16   callbacks return a status (V2). Older ones can only report an error by an exception through the
//               runtime, as ONNX Runtime's own C++ wrapper does.
//               Several kernels may share a name (float16, CUDA). Older runtimes have only float32 on the CPU and
//               refuse a float16 model, which must be loaded without this library and then runs by its function
//               body (tsm_edge/native/library.py: onnxruntime_can)
//   from 1.17   the op gives the shapes of its outputs
//   from 1.18   y may take the buffer of x if nothing else reads x
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <exception>
#include <initializer_list>
#include <new>

#include "kernel.h"

namespace {

using namespace tsm_edge::ort;  // NOLINT: kernel.h belongs to this file

const char kCuda[] = "CUDAExecutionProvider";

// One op as the runtime knows it. The runtime passes its base class to the callbacks.
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

// The exception that reports an error from a callback before 1.16. It is our own class because
// std::runtime_error needs a newer libstdc++ than the rest of this library.
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

// Whether the shape of an input may be given as the shape of an output: its rank is 4 and each open size has a
// name. An open size without a name (after a Reshape to -1, say) would become the number -1, which later nodes
// would take for a size.
OrtStatus* is_named_shape(const OrtTensorTypeAndShapeInfo* info, bool* named) {
  *named = false;
  std::size_t rank = 0;
  TSM_EDGE_TRY(g_api->GetDimensionsCount(info, &rank));
  if (rank != 4) return nullptr;
  std::int64_t dims[4];
  const char* names[4];
  TSM_EDGE_TRY(g_api->GetDimensions(info, dims, 4));
  TSM_EDGE_TRY(g_api->GetSymbolicDimensions(info, names, 4));
  *named = true;
  for (int i = 0; i < 4; ++i) *named = *named && (dims[i] >= 0 || names[i][0] != '\0');
  return nullptr;
}

// y has the shape of x, and next that of cache. If a shape cannot be given, the runtime finds it when it runs.
OrtStatus* infer_shapes(const OrtCustomOp* op, OrtShapeInferContext* context) {
  const std::size_t count = op->GetInputTypeCount(op);
  for (std::size_t i = 0; i < count; ++i) {
    OrtTensorTypeAndShapeInfo* info = nullptr;
    TSM_EDGE_TRY(g_api->ShapeInferContext_GetInputTypeShape(context, i, &info));
    bool named = false;
    TSM_EDGE_TRY(is_named_shape(info, &named));
    if (named) TSM_EDGE_TRY(g_api->ShapeInferContext_SetOutputTypeShape(context, i, info));
  }
  return nullptr;
}

// y may use the buffer of x. The arrays are static, so ReleaseMayInplace has nothing to free.
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
  if (op->cuda && op->kind == Kind::kClip) return;  // the CUDA kernel of a clip cannot work in place
  op->GetMayInplace = may_inplace;
  op->ReleaseMayInplace = [](int*, int*) {};
}

// The version of the C API is the minor version of the runtime, whose version string is "1.<minor>.<patch>".
std::uint32_t api_version_of(const OrtApiBase* base) {
  // Parsed by hand: with a new glibc, sscanf and strtol become symbols that an older glibc does not have.
  const char* text = base->GetVersionString();
  if (std::strncmp(text, "1.", 2) != 0) return ORT_API_VERSION;
  std::uint32_t minor = 0;
  for (text += 2; *text >= '0' && *text <= '9' && minor < ORT_API_VERSION; ++text) {
    minor = 10 * minor + static_cast<std::uint32_t>(*text - '0');
  }
  return minor < ORT_API_VERSION ? minor : ORT_API_VERSION;
}

// Whether both this library and the runtime have CUDA.
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

// All registered ops. The runtime keeps pointers to them while any session lives, possibly longer than it keeps
// the library loaded. So nothing here is freed, and the library is linked with -z nodelete.
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

// Whether this library has CUDA kernels. Without them a session on a GPU should not register it, because each shift
// would then run on the CPU.
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
  // The runtime has another major version. Without its API no status can be created. Nothing is registered, so
  // the model runs by its function bodies.
  if (g_api == nullptr) return nullptr;
  if (registry->base != base)
    return invalid("tsm_edge: the library is in use by another ONNX Runtime of this process");
  if (registry->status != nullptr) return invalid("tsm_edge: %s", g_api->GetErrorMessage(registry->status));
  return g_api->AddCustomOpDomain(options, registry->domain);
}
