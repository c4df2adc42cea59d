#include <cstdint>

#include "launch.cuh"
#include "temporal_shift.cuh"

// How the work is divided. Each thread owns one chunk of 16 bytes of y. It loads the lanes that feed the chunk, selects
// lane by lane if they come from several sources, and stores once. No other thread accesses these lanes, so working in
// place needs no barrier.
//
// A frame consists of lines, and no chunk crosses the end of a line. In linear and CHW layouts a frame is one line, and
// channels [0, k) fill a prefix of it, except for one block that holds other channels too. The cache holds each element
// at the same offset as x. In HWC8 each pixel is a line (the lines of x and of the cache have different lengths), and
// channels [0, k) are its first k lanes. Chunks begin where y is aligned to 16 bytes, for every plane size.

namespace tsm_edge {
namespace cuda {
namespace {

constexpr int kThreads = 256;
constexpr int kMaxGridY = 65535;
constexpr Size kMaxSize =
    Size(1) << 30;  // elements of a frame (so that offsets inside a frame are 32-bit) and number of frames

// The elements of a line that belong to channels [0, k): all elements before `full`, no element from `part` on, and
// in between the elements with offset % lanes < rest.
struct Prefix {
  int full;
  int part;
  int lanes;
  int rest;
};

struct Lines {
  int count;        // of one frame
  int size;         // elements of a line
  Size frame;       // elements of a frame
  Prefix channels;  // all channels of the tensor; the other elements are padding
};

template <typename Element>
struct StepArgs {
  const Element* x;
  const Element* cache;
  Element* y;
  Element* next;
  Lines lines;
  int cache_size;    // elements of a line of the cache
  Size cache_frame;  // elements of a frame of the cache
  Prefix moved;      // channels that y takes from the cache
  int frames;
  int chunks;  // of one line
  bool in_place;
};

template <typename Element>
struct ClipArgs {
  const Element* x;
  Element* y;
  Lines lines;
  Prefix future;  // channels that take frame t+1
  Prefix moved;   // channels that take another frame than their own
  ClipShift<int> clip;
  int frames;
  int chunks;
};

template <typename Element>
struct Chunk {
  static constexpr int kLanes = 16 / sizeof(Element);
  static constexpr unsigned kAll = (1u << kLanes) - 1;
  union {
    uint4 quad;
    uint2 pair[2];
    std::uint32_t word[4];
    Element lane[kLanes];
  };
};

// Bits [0, count) of a chunk's lanes.
template <typename Element>
__device__ unsigned low_lanes(int count) {
  return count >= Chunk<Element>::kLanes ? Chunk<Element>::kAll : count > 0 ? (1u << count) - 1 : 0u;
}

// The lanes of the chunk at `begin` that lie in a line of `size` elements. `begin` is negative for a chunk that starts
// before the line.
template <typename Element>
__device__ unsigned lanes_in_line(int begin, int size) {
  return low_lanes<Element>(size - begin) & ~low_lanes<Element>(-begin);
}

// The lanes of the chunk at `begin` whose channel is in the prefix.
template <typename Element>
__device__ unsigned lanes_before(const Prefix& prefix, int begin) {
  unsigned mask = low_lanes<Element>(prefix.full - begin);
  if (prefix.rest == 0 || begin >= prefix.part || mask == Chunk<Element>::kAll) return mask;
  int lane = begin >= 0 ? begin % prefix.lanes : 0;
#pragma unroll
  for (int i = 0; i < Chunk<Element>::kLanes; ++i) {
    const int offset = begin + i;
    if (offset < 0) continue;
    if (offset >= prefix.full && offset < prefix.part && lane < prefix.rest) mask |= 1u << i;
    lane = lane + 1 == prefix.lanes ? 0 : lane + 1;
  }
  return mask;
}

// Number of elements between the last 16-byte boundary and p.
template <typename Element>
__device__ int skew_of(const Element* p) {
  return static_cast<int>(reinterpret_cast<std::uintptr_t>(p) % 16 / sizeof(Element));
}

// Loads the lanes `wanted` of the chunk at p. The lanes `readable` may be read too. All other lanes are unspecified.
template <typename Element>
__device__ Chunk<Element> load(const Element* p, unsigned wanted, unsigned readable) {
  Chunk<Element> chunk;
  chunk.quad = make_uint4(0, 0, 0, 0);
  if (wanted == 0) return chunk;
  const auto address = reinterpret_cast<std::uintptr_t>(p);
  const bool whole = readable == Chunk<Element>::kAll;
  if (whole && address % 16 == 0) {
    chunk.quad = *reinterpret_cast<const uint4*>(p);
  } else if (whole && address % 8 == 0) {
    chunk.pair[0] = reinterpret_cast<const uint2*>(p)[0];
    chunk.pair[1] = reinterpret_cast<const uint2*>(p)[1];
  } else if (whole && address % 4 == 0) {
#pragma unroll
    for (int i = 0; i < 4; ++i) chunk.word[i] = reinterpret_cast<const std::uint32_t*>(p)[i];
  } else {
#pragma unroll
    for (int i = 0; i < Chunk<Element>::kLanes; ++i) {
      if (wanted >> i & 1u) chunk.lane[i] = p[i];
    }
  }
  return chunk;
}

template <typename Element>
__device__ void store(Element* p, const Chunk<Element>& chunk, unsigned wanted) {
  if (wanted == 0) return;
  const auto address = reinterpret_cast<std::uintptr_t>(p);
  const bool whole = wanted == Chunk<Element>::kAll;
  if (whole && address % 16 == 0) {
    *reinterpret_cast<uint4*>(p) = chunk.quad;
  } else if (whole && address % 8 == 0) {
    reinterpret_cast<uint2*>(p)[0] = chunk.pair[0];
    reinterpret_cast<uint2*>(p)[1] = chunk.pair[1];
  } else if (whole && address % 4 == 0) {
#pragma unroll
    for (int i = 0; i < 4; ++i) reinterpret_cast<std::uint32_t*>(p)[i] = chunk.word[i];
  } else {
#pragma unroll
    for (int i = 0; i < Chunk<Element>::kLanes; ++i) {
      if (wanted >> i & 1u) p[i] = chunk.lane[i];
    }
  }
}

// Copies the lanes in `mask` from `from` to `to`.
template <typename Element>
__device__ void select(Chunk<Element>* to, const Chunk<Element>& from, unsigned mask) {
  if (mask == Chunk<Element>::kAll) {
    to->quad = from.quad;
  } else if (mask != 0) {
#pragma unroll
    for (int i = 0; i < Chunk<Element>::kLanes; ++i) {
      if (mask >> i & 1u) to->lane[i] = from.lane[i];
    }
  }
}

template <typename Element>
__global__ void __launch_bounds__(kThreads) step_kernel(const StepArgs<Element> a) {
  const unsigned item = blockIdx.x * blockDim.x + threadIdx.x;
  const int line = static_cast<int>(item / static_cast<unsigned>(a.chunks));
  if (line >= a.lines.count) return;
  const int chunk = static_cast<int>(item % static_cast<unsigned>(a.chunks));
  for (int frame = blockIdx.y; frame < a.frames; frame += gridDim.y) {
    const Size x_line = frame * a.lines.frame + Size(line) * a.lines.size;
    const Size cache_line = frame * a.cache_frame + Size(line) * a.cache_size;
    const int begin = chunk * Chunk<Element>::kLanes - skew_of(a.y + x_line);
    const unsigned inside = lanes_in_line<Element>(begin, a.lines.size);
    const unsigned cached = lanes_in_line<Element>(begin, a.cache_size);
    const unsigned real = lanes_before<Element>(a.lines.channels, begin) & inside;
    const unsigned moved = lanes_before<Element>(a.moved, begin) & inside;

    const Chunk<Element> own = load(a.x + x_line + begin, a.in_place ? moved : real, inside);
    const Chunk<Element> past = load(a.cache + cache_line + begin, moved, cached);
    Chunk<Element> y, next;
    y.quad = next.quad = make_uint4(0, 0, 0, 0);
    select(&y, own, real & ~moved);
    select(&y, past, moved);
    select(&next, own, moved);
    store(a.y + x_line + begin, y, a.in_place ? moved : inside);
    store(a.next + cache_line + begin, next, cached);
  }
}

template <typename Element>
__global__ void __launch_bounds__(kThreads) clip_kernel(const ClipArgs<Element> a) {
  const unsigned item = blockIdx.x * blockDim.x + threadIdx.x;
  const int line = static_cast<int>(item / static_cast<unsigned>(a.chunks));
  if (line >= a.lines.count) return;
  const int chunk = static_cast<int>(item % static_cast<unsigned>(a.chunks));
  for (int frame = blockIdx.y; frame < a.frames; frame += gridDim.y) {
    const Size in_frame = Size(line) * a.lines.size;
    const int begin = chunk * Chunk<Element>::kLanes - skew_of(a.y + frame * a.lines.frame + in_frame);
    const unsigned inside = lanes_in_line<Element>(begin, a.lines.size);
    const unsigned real = lanes_before<Element>(a.lines.channels, begin) & inside;
    const unsigned moved = lanes_before<Element>(a.moved, begin) & inside;
    const unsigned future = lanes_before<Element>(a.future, begin) & inside;

    Chunk<Element> y;
    y.quad = make_uint4(0, 0, 0, 0);
#pragma unroll
    for (int shift = -1; shift <= 1; ++shift) {
      const unsigned lanes = shift < 0 ? moved & ~future : shift > 0 ? future : real & ~moved;
      const int source = a.clip.shifted_frame(frame, shift);
      if (lanes == 0 || source < 0) continue;
      select(&y, load(a.x + source * a.lines.frame + in_frame + begin, lanes, inside), lanes);
    }
    store(a.y + frame * a.lines.frame + in_frame + begin, y, inside);
  }
}

// Whether each pixel is its own line.
bool pixel_lines(const Extent<>& extent) { return extent.lanes >= 8 && extent.blocks() == 1; }

Prefix prefix_of(const Extent<>& extent, Size channels) {
  const int k = static_cast<int>(channels);
  if (pixel_lines(extent)) return Prefix{k, k, 1, 0};
  const int lanes = static_cast<int>(extent.lanes), block = static_cast<int>(extent.plane * extent.lanes);
  return Prefix{k / lanes * block, (k + lanes - 1) / lanes * block, lanes, k % lanes};
}

Lines lines_of(const Extent<>& extent) {
  const Size count = pixel_lines(extent) ? extent.plane : 1;
  return Lines{static_cast<int>(count), static_cast<int>(extent.frame_size() / count), extent.frame_size(),
               prefix_of(extent, extent.channels)};
}

// The number of chunks that cover `size` elements of each line of y: one more if a line may start between 16-byte
// boundaries.
int chunks_of(int size, const Lines& lines, const void* y, int element_size) {
  const Size starts =
      reinterpret_cast<std::uintptr_t>(y) | lines.size * element_size | lines.frame * element_size;
  const int lanes = 16 / element_size, skew = starts % 16 == 0 ? 0 : lanes - 1;
  return (size + skew + lanes - 1) / lanes;
}

bool fits(const Extent<>& extent) {
  if (extent.frames > kMaxSize || extent.channels > kMaxSize || extent.plane > kMaxSize) return false;
  if (extent.lanes < 1 && extent.channels > 0) return false;
  // Both factors are at most about 2^30, so the product fits 64 bits.
  const Size padded = extent.blocks() * extent.lanes;
  return padded <= kMaxSize && padded * extent.plane < kMaxSize;
}

// Whether the cache has the layout, frames and plane of x.
bool alike(const Extent<>& x, const Extent<>& cache) {
  return cache.frames == x.frames && cache.plane == x.plane &&
         (cache.channels == 0 || cache.lanes == x.lanes ||
          (pixel_lines(x) && cache.lanes >= 8 && cache.blocks() == 1));
}

template <typename Args>
cudaError_t launch_chunks(void (*kernel)(Args), const Args& args, cudaStream_t stream) {
  const unsigned items = static_cast<unsigned>(args.lines.count) * static_cast<unsigned>(args.chunks);
  const dim3 grid((items + kThreads - 1) / kThreads, args.frames < kMaxGridY ? args.frames : kMaxGridY);
  return launch(kernel, grid, dim3(kThreads), args, stream);
}

bool overlap(const void* a, Size a_bytes, const void* b, Size b_bytes) {
  const auto a_begin = reinterpret_cast<std::uintptr_t>(a), b_begin = reinterpret_cast<std::uintptr_t>(b);
  return a_bytes > 0 && b_bytes > 0 && a_begin < b_begin + b_bytes && b_begin < a_begin + a_bytes;
}

template <typename Element>
cudaError_t launch_step(const void* x, const void* cache, void* y, void* next, const Extent<>& x_extent,
                        const Extent<>& cache_extent, cudaStream_t stream) {
  StepArgs<Element> args;
  args.x = static_cast<const Element*>(x);
  args.cache = static_cast<const Element*>(cache);
  args.y = static_cast<Element*>(y);
  args.next = static_cast<Element*>(next);
  args.lines = lines_of(x_extent);
  args.cache_frame = cache_extent.frame_size();
  args.cache_size = static_cast<int>(cache_extent.frame_size() / args.lines.count);
  args.moved = prefix_of(x_extent, cache_extent.channels);
  args.frames = static_cast<int>(x_extent.frames);
  args.in_place = x == y;
  args.chunks = chunks_of(args.in_place ? args.cache_size : args.lines.size, args.lines, y, sizeof(Element));
  return launch_chunks(step_kernel<Element>, args, stream);
}

template <typename Element>
cudaError_t launch_clip(const void* x, void* y, const Extent<>& extent, const ClipShift<>& clip,
                        cudaStream_t stream) {
  ClipArgs<Element> args;
  args.x = static_cast<const Element*>(x);
  args.y = static_cast<Element*>(y);
  args.lines = lines_of(extent);
  args.future = prefix_of(extent, clip.bidirectional ? clip.fold : 0);
  args.moved = prefix_of(extent, clip.shifted());
  // frames > 0 is a multiple of segment, so the segment fits 32 bits as the frames do.
  args.clip = ClipShift<int>{static_cast<int>(clip.segment), static_cast<int>(clip.fold), clip.bidirectional};
  args.frames = static_cast<int>(extent.frames);
  args.chunks = chunks_of(args.lines.size, args.lines, y, sizeof(Element));
  return launch_chunks(clip_kernel<Element>, args, stream);
}

}  // namespace

cudaError_t shift_step(const void* x, const void* cache, void* y, void* next, const Extent<>& x_extent,
                       const Extent<>& cache_extent, int element_size, cudaStream_t stream) noexcept {
  const Extent<>&e = x_extent, &c = cache_extent;
  if (step_fault(e.frames, e.channels, e.plane, 1, c.channels) != nullptr || !fits(e) || !alike(e, c)) {
    return cudaErrorInvalidValue;
  }
  const Size x_bytes = e.size() * element_size, cache_bytes = c.size() * element_size;
  if ((x != y && overlap(x, x_bytes, y, x_bytes)) ||
      (cache != next && overlap(cache, cache_bytes, next, cache_bytes)) ||
      overlap(x, x_bytes, cache, cache_bytes) || overlap(x, x_bytes, next, cache_bytes) ||
      overlap(y, x_bytes, cache, cache_bytes) || overlap(y, x_bytes, next, cache_bytes)) {
    return cudaErrorInvalidValue;
  }
  const bool nothing_to_do = e.size() == 0 || (x == y && c.size() == 0);
  switch (element_size) {
    case 1:
      return nothing_to_do ? cudaSuccess : launch_step<std::uint8_t>(x, cache, y, next, e, c, stream);
    case 2:
      return nothing_to_do ? cudaSuccess : launch_step<std::uint16_t>(x, cache, y, next, e, c, stream);
    case 4:
      return nothing_to_do ? cudaSuccess : launch_step<std::uint32_t>(x, cache, y, next, e, c, stream);
    default:
      return cudaErrorInvalidValue;
  }
}

cudaError_t shift_clip(const void* x, void* y, const Extent<>& extent, const ClipShift<>& clip,
                       int element_size, cudaStream_t stream) noexcept {
  if (clip_fault(extent.frames, extent.channels, extent.plane, 1, clip) != nullptr || !fits(extent)) {
    return cudaErrorInvalidValue;
  }
  if (overlap(x, extent.size() * element_size, y, extent.size() * element_size)) return cudaErrorInvalidValue;
  const bool nothing_to_do = extent.size() == 0;
  switch (element_size) {
    case 1:
      return nothing_to_do ? cudaSuccess : launch_clip<std::uint8_t>(x, y, extent, clip, stream);
    case 2:
      return nothing_to_do ? cudaSuccess : launch_clip<std::uint16_t>(x, y, extent, clip, stream);
    case 4:
      return nothing_to_do ? cudaSuccess : launch_clip<std::uint32_t>(x, y, extent, clip, stream);
    default:
      return cudaErrorInvalidValue;
  }
}

}  // namespace cuda
}  // namespace tsm_edge
