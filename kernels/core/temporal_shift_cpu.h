// The temporal shift on the CPU. It copies runs of channels by memcpy, so it serves every element type. One
// thread does the work: two threads were measured and were never faster (kernels/README.md).
//
// The caller checks the sizes (step_fault, clip_fault) and the buffers. These functions cannot fail and do not
// allocate.
#ifndef TSM_EDGE_CORE_TEMPORAL_SHIFT_CPU_H_
#define TSM_EDGE_CORE_TEMPORAL_SHIFT_CPU_H_

#include <algorithm>
#include <cstring>

#include "temporal_shift.h"

namespace tsm_edge {
namespace cpu {

// The place of a run of channels in two tensors: `rows` rows of `bytes` bytes each.
struct Rows {
  Size rows, bytes;
  Size to, to_stride;      // byte offset of the first row in a frame of tensor `to`, and between two rows
  Size from, from_stride;  // the same for tensor `from`
};

// Calls move(Rows) for channels [begin, end) of a frame of `to` and of `from`. Both tensors have the same plane
// and layout; their numbers of channels may differ. The rows are as few and as long as the layout allows: one row
// for whole blocks, `plane` rows for a part of a block.
template <typename Move>
void for_each_rows(const Extent<>& to, const Extent<>& from, Size element, Size begin, Size end, Move move) {
  if (to.plane == 0) return;
  while (begin < end) {
    const Size lane_to = begin % to.lanes, lane_from = begin % from.lanes;
    const bool whole = to.lanes == from.lanes && lane_to == 0 && end - begin >= to.lanes;
    const Size take = whole ? (end - begin) / to.lanes * to.lanes
                            : std::min(end - begin, std::min(to.lanes - lane_to, from.lanes - lane_from));
    Rows rows;
    rows.rows = whole ? 1 : to.plane;
    rows.bytes = (whole ? take * to.plane : take) * element;
    rows.to = to.offset(0, begin, 0) * element;
    rows.to_stride = to.lanes * element;
    rows.from = from.offset(0, begin, 0) * element;
    rows.from_stride = from.lanes * element;
    move(rows);
    begin += take;
  }
}

inline void copy_channels(char* to, const Extent<>& to_extent, const char* from, const Extent<>& from_extent,
                          Size element, Size begin, Size end) {
  for_each_rows(to_extent, from_extent, element, begin, end, [&](const Rows& r) {
    for (Size i = 0; i < r.rows; ++i) {
      std::memcpy(to + r.to + i * r.to_stride, from + r.from + i * r.from_stride, r.bytes);
    }
  });
}

inline void swap_channels(char* a, const Extent<>& a_extent, char* b, const Extent<>& b_extent, Size element,
                          Size begin, Size end) {
  for_each_rows(a_extent, b_extent, element, begin, end, [&](const Rows& r) {
    for (Size i = 0; i < r.rows; ++i) {
      char* row = a + r.to + i * r.to_stride;
      std::swap_ranges(row, row + r.bytes, b + r.from + i * r.from_stride);
    }
  });
}

inline void zero_channels(char* to, const Extent<>& extent, Size element, Size begin, Size end) {
  for_each_rows(extent, extent, element, begin, end, [&](const Rows& r) {
    for (Size i = 0; i < r.rows; ++i) std::memset(to + r.to + i * r.to_stride, 0, r.bytes);
  });
}

// Writes zeros into the padding lanes of a frame.
inline void zero_padding(char* to, const Extent<>& extent, Size element) {
  if (extent.lanes == 1) return;
  zero_channels(to, extent, element, extent.channels, extent.blocks() * extent.lanes);
}

// TemporalShiftStep. x and y have the extent `whole`. cache and next have the extent `part`: the same frames,
// plane and layout, with fold channels. y may be x itself: then only the fold moves. next may be cache itself; if
// both hold, x and the cache swap their folds. The buffers must not overlap in any other way.
inline void shift_step(const void* x, const void* cache, void* y, void* next, const Extent<>& whole,
                       const Extent<>& part, Size element) {
  const Size frame_bytes = whole.frame_size() * element, part_bytes = part.frame_size() * element;
  for (Size n = 0; n < whole.frames; ++n) {
    const char* x_n = static_cast<const char*>(x) + n * frame_bytes;
    const char* cache_n = static_cast<const char*>(cache) + n * part_bytes;
    char* y_n = static_cast<char*>(y) + n * frame_bytes;
    char* next_n = static_cast<char*>(next) + n * part_bytes;
    if (y_n == x_n && next_n == cache_n) {
      swap_channels(y_n, whole, next_n, part, element, 0, part.channels);
    } else if (y_n == x_n) {
      copy_channels(next_n, part, x_n, whole, element, 0, part.channels);
      copy_channels(y_n, whole, cache_n, part, element, 0, part.channels);
    } else {
      copy_channels(y_n, whole, cache_n, part, element, 0, part.channels);
      copy_channels(next_n, part, x_n, whole, element, 0, part.channels);
      copy_channels(y_n, whole, x_n, whole, element, part.channels, whole.channels);
    }
    if (y_n != x_n) zero_padding(y_n, whole, element);
    zero_padding(next_n, part, element);
  }
}

// TemporalShift over all clips of x. y may be x itself: then only the folds move. Other overlap is not allowed.
inline void shift_clip(const void* x, void* y, const Extent<>& extent, const ClipShift<>& clip,
                       Size element) {
  const Size frame_bytes = extent.frame_size() * element;
  for (int i = 0; i < kClipRuns; ++i) {
    const ChannelRun<> run = clip_run(clip, extent.channels, i);
    if (run.begin == run.end || (x == y && run.shift == 0)) continue;
    for (Size k = 0; k < extent.frames; ++k) {
      // In place, a frame must be read before it is overwritten. So data that moves to a later frame is
      // copied from the last frame to the first.
      const Size frame = run.shift < 0 ? extent.frames - 1 - k : k;
      const Size source = clip.shifted_frame(frame, run.shift);
      char* y_t = static_cast<char*>(y) + frame * frame_bytes;
      if (source < 0) {
        zero_channels(y_t, extent, element, run.begin, run.end);
      } else {
        copy_channels(y_t, extent, static_cast<const char*>(x) + source * frame_bytes, extent, element,
                      run.begin, run.end);
      }
    }
  }
  if (x == y) return;
  for (Size frame = 0; frame < extent.frames; ++frame) {
    zero_padding(static_cast<char*>(y) + frame * frame_bytes, extent, element);
  }
}

}  // namespace cpu
}  // namespace tsm_edge

#endif  // TSM_EDGE_CORE_TEMPORAL_SHIFT_CPU_H_
