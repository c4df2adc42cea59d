// The index arithmetic of the temporal shift. All CPU and CUDA kernels and both adapters use it.
//
// The rule is that of tsm_edge/shift.py (Lin, Gan, Han, "TSM", ICCV 2019, sections 3 and 4). A shift moves data
// from one frame (or the cache) to another frame, always at the same channel. So a kernel needs to know two
// things: which frame feeds channel c of frame t, and where a channel lies in memory.
//
// This file is C++14 and CUDA 10.2 device code, and needs only <cstdint>. Sizes are 64-bit. Device code may
// instantiate the templates with a 32-bit Index, whose divisions are cheaper, after it has checked that its
// tensor is small enough.
#ifndef TSM_EDGE_CORE_TEMPORAL_SHIFT_H_
#define TSM_EDGE_CORE_TEMPORAL_SHIFT_H_

#include <cstdint>

#if defined(__CUDACC__)
#define TSM_EDGE_HD __host__ __device__
#else
#define TSM_EDGE_HD
#endif

namespace tsm_edge {

using Size = std::int64_t;

// The order of the elements of one frame in memory. The names are those of nvinfer1::TensorFormat. The values
// are part of the C interface (cuda/c_api.h).
enum class Layout : std::int32_t {
  kLinear = 0,  // N C H W
  kHWC8 = 1,    // N H W C', C' = C rounded up to a multiple of 8
  kCHW2 = 2,    // N C/2 H W 2
  kCHW4 = 3,    // N C/4 H W 4
  kCHW32 = 4,   // N C/32 H W 32
};

constexpr std::int32_t kLayoutCount = 5;

// Number of channels that lie side by side at one pixel, or 0 for a value that is no layout. kHWC8 is a single
// block of all channels, so one addressing rule (Extent::offset) serves all five layouts.
template <typename Index>
TSM_EDGE_HD constexpr Index lanes_of(Layout layout, Index channels) {
  return layout == Layout::kLinear  ? Index(1)
         : layout == Layout::kHWC8  ? (channels + 7) / 8 * 8
         : layout == Layout::kCHW2  ? Index(2)
         : layout == Layout::kCHW4  ? Index(4)
         : layout == Layout::kCHW32 ? Index(32)
                                    : Index(0);
}

// The sizes of a tensor (frames, channels, H, W) that lies in memory as [frames][blocks][plane = H*W][lanes].
// The lanes of the last block after the last channel are padding: kernels write zeros there and never read
// them. channels and plane may be 0.
template <typename Index = Size>
struct Extent {
  Index frames;
  Index channels;
  Index plane;
  Index lanes;

  TSM_EDGE_HD constexpr Index blocks() const { return lanes > 0 ? (channels + lanes - 1) / lanes : 0; }
  // Number of elements of one frame, and of all frames, with the padding.
  TSM_EDGE_HD constexpr Index frame_size() const { return blocks() * plane * lanes; }
  TSM_EDGE_HD constexpr Index size() const { return frames * frame_size(); }
  // Element offset of (frame, channel, h, w), pixel = h * W + w.
  TSM_EDGE_HD constexpr Index offset(Index frame, Index channel, Index pixel) const {
    return ((frame * blocks() + channel / lanes) * plane + pixel) * lanes + channel % lanes;
  }
};

template <typename Index>
TSM_EDGE_HD constexpr Extent<Index> extent_of(Layout layout, Index frames, Index channels, Index height,
                                              Index width) {
  return Extent<Index>{frames, channels, height * width, lanes_of(layout, channels)};
}

// TemporalShiftStep: y takes channel c from the cache if this is true, else from x. next is channels [0, fold)
// of x.
template <typename Index>
TSM_EDGE_HD constexpr bool step_takes_cache(Index channel, Index fold) {
  return channel < fold;
}

// TemporalShift over clips of `segment` frames. Bidirectional: channels [0, fold) take frame t+1 and channels
// [fold, 2*fold) take frame t-1. Causal: channels [0, fold) take frame t-1. The other channels stay. A channel
// that would take a frame before or after its clip becomes zero.
template <typename Index = Size>
struct ClipShift {
  Index segment;
  Index fold;
  bool bidirectional;

  // The channels [0, shifted()) take another frame than their own.
  TSM_EDGE_HD constexpr Index shifted() const { return bidirectional ? 2 * fold : fold; }

  // -1, 0 or +1: the frame that feeds channel c, relative to its own frame.
  TSM_EDGE_HD constexpr int frame_shift(Index channel) const {
    return channel >= shifted() ? 0 : bidirectional && channel < fold ? 1 : -1;
  }

  // The frame of the whole batch that feeds channel c of `frame`, or -1 if the channel becomes zero.
  TSM_EDGE_HD constexpr Index source_frame(Index frame, Index channel) const {
    return shifted_frame(frame, frame_shift(channel));
  }

  // The same for a known frame_shift().
  TSM_EDGE_HD constexpr Index shifted_frame(Index frame, int shift) const {
    return shift < 0   ? (frame % segment == 0 ? Index(-1) : frame - 1)
           : shift > 0 ? (frame % segment == segment - 1 ? Index(-1) : frame + 1)
                       : frame;
  }
};

// A run of neighbouring channels [begin, end) that all take the same frame. A kernel copies a run as a whole.
template <typename Index = Size>
struct ChannelRun {
  Index begin;
  Index end;
  int shift;  // as ClipShift::frame_shift
};

constexpr int kClipRuns = 3;

// Run 0, 1 or 2 of a frame. The runs cover [0, channels) in order. A run may be empty.
template <typename Index>
TSM_EDGE_HD constexpr ChannelRun<Index> clip_run(const ClipShift<Index>& clip, Index channels, int run) {
  return run == 0   ? ChannelRun<Index>{0, clip.bidirectional ? clip.fold : 0, 1}
         : run == 1 ? ChannelRun<Index>{clip.bidirectional ? clip.fold : 0, clip.shifted(), -1}
                    : ChannelRun<Index>{clip.shifted(), channels, 0};
}

// The fault of the sizes as text for an adapter's error message, or nullptr for valid sizes.
inline const char* step_fault(Size frames, Size channels, Size height, Size width, Size fold) {
  return frames < 0 || channels < 0 || height < 0 || width < 0 ? "x: a negative size"
         : fold < 0 || fold > channels                         ? "cache: expected 0 <= F <= C channels"
                                                               : nullptr;
}

inline const char* clip_fault(Size frames, Size channels, Size height, Size width, const ClipShift<>& clip) {
  return frames < 0 || channels < 0 || height < 0 || width < 0 ? "x: a negative size"
         : clip.segment < 1                                    ? "n_segment: expected at least 1"
         : frames % clip.segment != 0 ? "x: expected a number of frames that is a multiple of n_segment"
         : clip.fold<0 ? "fold: expected at least 0"
                       // Not 2 * fold, which could overflow.
                       : clip.fold>(clip.bidirectional ? channels / 2 : channels)
             ? "fold: more channels would be shifted than x has"
             : nullptr;
}

}  // namespace tsm_edge

#endif  // TSM_EDGE_CORE_TEMPORAL_SHIFT_H_
