#include <cuda_fp16.h>

#include "launch.cuh"
#include "preprocess.cuh"

namespace tsm_edge {
namespace cuda {
namespace {

constexpr int kThreadsX = 32, kThreadsY = 8;
// Up to this length, float32 pixel centres are exact to far less than a level and products fit 32 bits.
constexpr int kMaxLength = 1 << 20;

struct Scaled {
  Axis axis;
  int reduced;    // length after the halvings, in "reduced" pixels
  float scale;    // reduced pixels per output pixel
  float support;  // kPillow: half the width of the triangle
};

template <typename Out>
struct PreprocessArgs {
  Image image;  // data points to the first pixel of the region
  Scaled rows;
  Scaled columns;
  float3 gain;  // out = level * gain + bias for each channel of the image, level from 0 to 255
  float3 bias;
  bool smooth;
  bool rgb;
  Out* out;
};

__device__ void put(float* out, float value) { *out = value; }
__device__ void put(__half* out, float value) { *out = __float2half_rn(value); }

// Selects by comparison, not by an index: an index would move the kernel's arguments to local memory.
__device__ float channel_of(const float3& values, int channel) {
  return channel == 0 ? values.x : channel == 1 ? values.y : values.z;
}

// Normalises `level`, the value of one channel of the image, and writes it to that channel of the output.
template <typename Out>
__device__ void put_level(const PreprocessArgs<Out>& a, int row, int column, int channel, float level) {
  const std::int64_t plane = static_cast<std::int64_t>(a.rows.axis.size) * a.columns.axis.size;
  put(a.out + (a.rgb ? 2 - channel : channel) * plane + static_cast<std::int64_t>(row) * a.columns.axis.size +
          column,
      level * channel_of(a.gain, channel) + channel_of(a.bias, channel));
}

// The centre of output pixel `index`, in reduced pixels.
__device__ float centre_of(const Scaled& scaled, int index) {
  return (static_cast<float>(scaled.axis.keep + index) + 0.5f) * scaled.scale;
}

// The source pixels [begin, end) under the triangle of an output pixel, clipped to the region.
struct Triangle {
  float centre;
  float support;
  int begin;
  int end;

  __device__ float weight(int pixel) const {
    return fmaxf(1.0f - fabsf((static_cast<float>(pixel) + 0.5f - centre) / support), 0.0f);
  }
};

__device__ Triangle triangle_of(const Scaled& scaled, int index) {
  const float centre = centre_of(scaled, index);
  const int begin = static_cast<int>(floorf(centre - scaled.support + 0.5f));
  const int end = static_cast<int>(floorf(centre + scaled.support + 0.5f));
  return Triangle{centre, scaled.support, begin > 0 ? begin : 0, end < scaled.reduced ? end : scaled.reduced};
}

template <typename Out>
__global__ void __launch_bounds__(kThreadsX* kThreadsY) pillow_kernel(const PreprocessArgs<Out> a) {
  const int column = blockIdx.x * kThreadsX + threadIdx.x, row = blockIdx.y * kThreadsY + threadIdx.y;
  if (row >= a.rows.axis.size || column >= a.columns.axis.size) return;
  const Triangle down = triangle_of(a.rows, row), across = triangle_of(a.columns, column);
  float level[3] = {0, 0, 0}, total = 0;
  for (int i = down.begin; i < down.end; ++i) {
    const std::uint8_t* line = a.image.data + i * a.image.pitch;
    const float part = down.weight(i);
    for (int j = across.begin; j < across.end; ++j) {
      const float weight = part * across.weight(j);
      for (int c = 0; c < 3; ++c) level[c] += weight * static_cast<float>(line[j * 3 + c]);
      total += weight;
    }
  }
#pragma unroll
  for (int c = 0; c < 3; ++c) put_level(a, row, column, c, level[c] / total);
}

// The length of [from, to) that lies in pixel `pixel`.
__device__ float overlap(int pixel, float from, float to) {
  const float begin = static_cast<float>(pixel);
  return fmaxf(fminf(begin + 1.0f, to) - fmaxf(begin, from), 0.0f);
}

// Pixel (row, column) of the region after kHalvings halvings. As OpenCV's INTER_AREA, each halving averages the source
// pixels under one pixel (two per axis, slightly more if the length is odd) and rounds to a whole level.
template <int kHalvings>
struct Reduced {
  template <typename Out>
  static __device__ float at(const PreprocessArgs<Out>& a, int row, int column, int channel) {
    const int above = a.rows.axis.length >> (kHalvings - 1),
              beside = a.columns.axis.length >> (kHalvings - 1);
    const float tall = static_cast<float>(above) / static_cast<float>(a.rows.axis.length >> kHalvings);
    const float wide = static_cast<float>(beside) / static_cast<float>(a.columns.axis.length >> kHalvings);
    const float top = static_cast<float>(row) * tall, left = static_cast<float>(column) * wide;
    const int bottom = min(static_cast<int>(ceilf(top + tall)), above);
    const int right = min(static_cast<int>(ceilf(left + wide)), beside);
    float sum = 0, total = 0;
    for (int i = static_cast<int>(top); i < bottom; ++i) {
      const float part = overlap(i, top, top + tall);
      for (int j = static_cast<int>(left); j < right; ++j) {
        const float share = part * overlap(j, left, left + wide);
        sum += share * Reduced<kHalvings - 1>::at(a, i, j, channel);
        total += share;
      }
    }
    return floorf(sum / total + 0.5f);
  }
};

template <>
struct Reduced<0> {
  template <typename Out>
  static __device__ float at(const PreprocessArgs<Out>& a, int row, int column, int channel) {
    return static_cast<float>(a.image.data[row * a.image.pitch + column * 3 + channel]);
  }
};

// The two neighbours of an output pixel, `low` and low + 1, and the weight `part` of the second one.
struct Pair {
  int low;
  float part;
};

__device__ Pair pair_of(const Scaled& scaled, int index) {
  const float position = centre_of(scaled, index) - 0.5f;
  const int low = static_cast<int>(floorf(position));
  if (low < 0) return Pair{0, 0.0f};  // the edge pixel is repeated
  if (low >= scaled.reduced - 1) return Pair{scaled.reduced - 1, 0.0f};
  return Pair{low, position - static_cast<float>(low)};
}

// OpenCV's BORDER_REFLECT_101: index -1 becomes 1 and index `length` becomes length - 2.
__device__ int mirrored(int index, int length) {
  const int inside = index < 0 ? -index : index >= length ? 2 * length - 2 - index : index;
  return max(0, min(inside, length - 1));
}

template <int kHalvings, typename Out>
__device__ float smoothed(const PreprocessArgs<Out>& a, int row, int column, int channel) {
  float sum = 0;
  for (int i = -1; i <= 1; ++i) {
    for (int j = -1; j <= 1; ++j) {
      const float weight = (i == 0 ? 0.5f : 0.25f) * (j == 0 ? 0.5f : 0.25f);
      sum += weight * Reduced<kHalvings>::at(a, mirrored(row + i, a.rows.reduced),
                                             mirrored(column + j, a.columns.reduced), channel);
    }
  }
  return floorf(sum + 0.5f);
}

template <typename Out, int kHalvings>
__global__ void __launch_bounds__(kThreadsX* kThreadsY) pyramid_kernel(const PreprocessArgs<Out> a) {
  const int column = blockIdx.x * kThreadsX + threadIdx.x, row = blockIdx.y * kThreadsY + threadIdx.y;
  if (row >= a.rows.axis.size || column >= a.columns.axis.size) return;
  const Pair down = pair_of(a.rows, row), across = pair_of(a.columns, column);
  for (int c = 0; c < 3; ++c) {
    float level = 0;
    for (int i = 0; i < 2; ++i) {
      for (int j = 0; j < 2; ++j) {
        const float weight = (i ? down.part : 1.0f - down.part) * (j ? across.part : 1.0f - across.part);
        if (weight == 0.0f) continue;  // the pixel may lie outside the region
        const int y = down.low + i, x = across.low + j;
        level += weight * (a.smooth ? smoothed<kHalvings>(a, y, x, c) : Reduced<kHalvings>::at(a, y, x, c));
      }
    }
    put_level(a, row, column, c, level);
  }
}

Scaled scaled_of(const Axis& axis, int halvings) {
  const int reduced = axis.length >> halvings;
  const float scale = static_cast<float>(reduced) / static_cast<float>(axis.resized);
  return Scaled{axis, reduced, scale, scale > 1.0f ? scale : 1.0f};
}

bool sane(const Axis& axis, int pixels) {
  return axis.begin >= 0 && axis.length >= 1 && axis.begin <= pixels - axis.length && axis.resized >= 1 &&
         axis.resized <= kMaxLength && axis.keep >= 0 && axis.size >= 1 &&
         axis.keep <= axis.resized - axis.size;
}

template <typename Out>
cudaError_t launch_preprocess(const Image& image, const Axis& rows, const Axis& columns, Filter filter,
                              int halvings, const Normalise& normalise, void* out, cudaStream_t stream) {
  PreprocessArgs<Out> args;
  args.image = image;
  args.image.data += rows.begin * image.pitch + columns.begin * 3;
  args.rows = scaled_of(rows, halvings);
  args.columns = scaled_of(columns, halvings);
  // mean and std are in the channel order of the output, gain and bias in that of the image (BGR).
  const float* const mean = normalise.mean;
  const float* const std = normalise.std;
  const int first = normalise.rgb ? 2 : 0, last = 2 - first;
  args.gain = make_float3(1 / (255 * std[first]), 1 / (255 * std[1]), 1 / (255 * std[last]));
  args.bias = make_float3(-mean[first] / std[first], -mean[1] / std[1], -mean[last] / std[last]);
  args.smooth = filter == Filter::kPyramidSmoothed;
  args.rgb = normalise.rgb;
  args.out = static_cast<Out*>(out);
  const dim3 block(kThreadsX, kThreadsY);
  const dim3 grid((columns.size + kThreadsX - 1) / kThreadsX, (rows.size + kThreadsY - 1) / kThreadsY);
  if (filter == Filter::kPillow) return launch(pillow_kernel<Out>, grid, block, args, stream);
  switch (halvings) {
    case 0:
      return launch(pyramid_kernel<Out, 0>, grid, block, args, stream);
    case 1:
      return launch(pyramid_kernel<Out, 1>, grid, block, args, stream);
    case 2:
      return launch(pyramid_kernel<Out, 2>, grid, block, args, stream);
    default:
      return launch(pyramid_kernel<Out, 3>, grid, block, args, stream);
  }
}

}  // namespace

cudaError_t preprocess(const Image& image, const Axis& rows, const Axis& columns, Filter filter, int halvings,
                       const Normalise& normalise, void* out, int element_size,
                       cudaStream_t stream) noexcept {
  if (image.data == nullptr || out == nullptr || image.height < 1 || image.height > kMaxLength ||
      image.width < 1 || image.width > kMaxLength || image.pitch < std::int64_t(3) * image.width ||
      !sane(rows, image.height) || !sane(columns, image.width)) {
    return cudaErrorInvalidValue;
  }
  if (filter < Filter::kPillow || filter > Filter::kPyramidSmoothed || halvings < 0 ||
      halvings > kMaxHalvings || (filter == Filter::kPillow && halvings != 0) ||
      rows.length >> halvings < 1 || columns.length >> halvings < 1) {
    return cudaErrorInvalidValue;
  }
  for (float std : normalise.std) {
    if (!(std > 0)) return cudaErrorInvalidValue;
  }
  if (element_size == 4) {
    return launch_preprocess<float>(image, rows, columns, filter, halvings, normalise, out, stream);
  }
  if (element_size == 2) {
    return launch_preprocess<__half>(image, rows, columns, filter, halvings, normalise, out, stream);
  }
  return cudaErrorInvalidValue;
}

}  // namespace cuda
}  // namespace tsm_edge
