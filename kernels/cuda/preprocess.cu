#include <cuda_fp16.h>

#include "launch.cuh"
#include "preprocess.cuh"

namespace tsm_edge {
namespace cuda {
namespace {

constexpr int kThreadsX = 32, kThreadsY = 8;
constexpr int kMaxLength =
    1 << 20;  // keeps centres exact in float to well under a level, and products in 32 bits

struct Filter {
  Axis axis;
  float scale;    // source pixels of one output pixel
  float support;  // half the width of the triangle, in source pixels
};

template <typename Out>
struct PreprocessArgs {
  Image image;
  Filter rows;
  Filter columns;
  float gain[3];  // of each output channel, for levels 0 to 255
  float bias[3];
  bool rgb;
  Out* out;
};

struct Taps {
  int begin;  // pixels [begin, end) of the frame
  int end;
  float centre;
};

// The pixels under the triangle of output pixel `index`, cut off at the region's ends (their weights are then scaled
// up again, which for two taps is the same as repeating the edge).
__device__ Taps taps_of(const Filter& filter, int index) {
  const float centre = (static_cast<float>(filter.axis.keep + index) + 0.5f) * filter.scale;
  const int begin = static_cast<int>(floorf(centre - filter.support + 0.5f));
  const int end = static_cast<int>(floorf(centre + filter.support + 0.5f));
  const int last = filter.axis.length;
  Taps taps;
  taps.begin = begin < 0 ? 0 : begin;
  taps.end = end > last ? last : end;
  taps.centre = centre;
  return taps;
}

__device__ float weight_of(const Filter& filter, float centre, int pixel) {
  const float distance = fabsf((static_cast<float>(pixel) + 0.5f - centre) / filter.support);
  return distance < 1.0f ? 1.0f - distance : 0.0f;
}

__device__ void put(float* out, float value) { *out = value; }
__device__ void put(__half* out, float value) { *out = __float2half_rn(value); }

template <typename Out>
__global__ void __launch_bounds__(kThreadsX* kThreadsY) preprocess_kernel(const PreprocessArgs<Out> a) {
  const int column = blockIdx.x * kThreadsX + threadIdx.x, row = blockIdx.y * kThreadsY + threadIdx.y;
  const int height = a.rows.axis.size, width = a.columns.axis.size;
  if (row >= height || column >= width) return;
  const Taps down = taps_of(a.rows, row), across = taps_of(a.columns, column);

  float level[3] = {0, 0, 0}, total = 0;
  for (int i = down.begin; i < down.end; ++i) {
    const std::uint8_t* line =
        a.image.data + (a.rows.axis.begin + i) * a.image.pitch + a.columns.axis.begin * 3;
    const float down_weight = weight_of(a.rows, down.centre, i);
    for (int j = across.begin; j < across.end; ++j) {
      const float weight = down_weight * weight_of(a.columns, across.centre, j);
      for (int c = 0; c < 3; ++c) level[c] += weight * static_cast<float>(line[j * 3 + c]);
      total += weight;
    }
  }

  const std::int64_t plane = static_cast<std::int64_t>(height) * width;
  Out* out = a.out + static_cast<std::int64_t>(row) * width + column;
#pragma unroll
  for (int c = 0; c < 3; ++c) {
    // Chosen by a value, not by an index: `level` stays in registers.
    const float source = a.rgb ? level[2 - c] : level[c];
    put(out + c * plane, source / total * a.gain[c] + a.bias[c]);
  }
}

Filter filter_of(const Axis& axis, bool antialias) {
  const float scale = static_cast<float>(axis.length) / static_cast<float>(axis.resized);
  return Filter{axis, scale, antialias && scale > 1.0f ? scale : 1.0f};
}

bool sane(const Axis& axis, int pixels) {
  return axis.begin >= 0 && axis.length >= 1 && axis.begin <= pixels - axis.length && axis.resized >= 1 &&
         axis.resized <= kMaxLength && axis.keep >= 0 && axis.size >= 1 &&
         axis.keep <= axis.resized - axis.size;
}

template <typename Out>
cudaError_t launch_preprocess(const Image& image, const Axis& rows, const Axis& columns, bool antialias,
                              const Normalise& normalise, void* out, cudaStream_t stream) {
  PreprocessArgs<Out> args;
  args.image = image;
  args.rows = filter_of(rows, antialias);
  args.columns = filter_of(columns, antialias);
  for (int c = 0; c < 3; ++c) {
    args.gain[c] = 1.0f / (255.0f * normalise.std[c]);
    args.bias[c] = -normalise.mean[c] / normalise.std[c];
  }
  args.rgb = normalise.rgb;
  args.out = static_cast<Out*>(out);
  const dim3 block(kThreadsX, kThreadsY);
  const dim3 grid((columns.size + kThreadsX - 1) / kThreadsX, (rows.size + kThreadsY - 1) / kThreadsY);
  return launch(preprocess_kernel<Out>, grid, block, args, stream);
}

}  // namespace

cudaError_t preprocess(const Image& image, const Axis& rows, const Axis& columns, bool antialias,
                       const Normalise& normalise, void* out, int element_size,
                       cudaStream_t stream) noexcept {
  if (image.data == nullptr || out == nullptr || image.height < 1 || image.height > kMaxLength ||
      image.width < 1 || image.width > kMaxLength || image.pitch < std::int64_t(3) * image.width ||
      !sane(rows, image.height) || !sane(columns, image.width)) {
    return cudaErrorInvalidValue;
  }
  for (float std : normalise.std) {
    if (!(std > 0)) return cudaErrorInvalidValue;
  }
  if (element_size == 4)
    return launch_preprocess<float>(image, rows, columns, antialias, normalise, out, stream);
  if (element_size == 2)
    return launch_preprocess<__half>(image, rows, columns, antialias, normalise, out, stream);
  return cudaErrorInvalidValue;
}

}  // namespace cuda
}  // namespace tsm_edge
