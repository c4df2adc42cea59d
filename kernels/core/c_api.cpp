#include "c_api.h"

#include <cstdint>
#include <initializer_list>

#include "temporal_shift.h"
#include "temporal_shift_cpu.h"

namespace {

using tsm_edge::ClipShift;
using tsm_edge::Extent;
using tsm_edge::Layout;
using tsm_edge::Size;

enum Fault : std::int32_t { kNone, kTensor, kFold, kSegment, kFrames, kNull, kOverlap, kFaultCount };

const char* const kFaults[kFaultCount] = {
    "",
    "x: expected sizes of at least 0 that fit 64 bits, a known layout, and elements of 1, 2 or 4 bytes",
    "fold: expected at least 0, and no more channels shifted than x has",
    "n_segment: expected at least 1",
    "x: expected a number of frames that is a multiple of n_segment",
    "a buffer is null",
    "buffers overlap: only y = x and next = cache may share memory",
};

Extent<> extent(const tsm_edge_tensor& t, Size channels) {
  return tsm_edge::extent_of<Size>(static_cast<Layout>(t.layout), t.n, channels, t.h, t.w);
}

// Bytes of a buffer, or -1 where they, or a stride on the way to them, overflow.
Size checked_bytes(const tsm_edge_tensor& t) {
  if (t.layout < 0 || t.layout >= tsm_edge::kLayoutCount) return -1;
  if (t.element_size != 1 && t.element_size != 2 && t.element_size != 4) return -1;
  constexpr Size kLimit = Size(1) << 62;
  if (t.n < 0 || t.c < 0 || t.c > kLimit || t.h < 0 || t.w < 0) return -1;
  const Size lanes = tsm_edge::lanes_of<Size>(static_cast<Layout>(t.layout), t.c);
  const Size padded = lanes <= 1 ? t.c : (t.c + lanes - 1) / lanes * lanes;
  bool empty = false;
  Size bytes = t.element_size;
  for (Size size : {t.n, padded, t.h, t.w}) {
    empty = empty || size == 0;  // which must not hide that the other sizes overflow
    if (__builtin_mul_overflow(bytes, size == 0 ? 1 : size, &bytes) || bytes > kLimit) return -1;
  }
  return empty ? 0 : bytes;
}

struct Buffer {
  const void* data;
  Size bytes;
};

bool missing(const Buffer& b) { return b.bytes > 0 && b.data == nullptr; }

bool overlap(const Buffer& a, const Buffer& b) {
  const auto a_begin = reinterpret_cast<std::uintptr_t>(a.data),
             b_begin = reinterpret_cast<std::uintptr_t>(b.data);
  return a.bytes > 0 && b.bytes > 0 && a_begin < b_begin + b.bytes && b_begin < a_begin + a.bytes;
}

// Two buffers that are one and the same, or do not touch.
bool same_or_apart(const Buffer& a, const Buffer& b) { return a.data == b.data || !overlap(a, b); }

}  // namespace

extern "C" {

std::int32_t tsm_edge_abi(void) { return TSM_EDGE_ABI; }

std::int64_t tsm_edge_bytes(const tsm_edge_tensor* tensor) { return checked_bytes(*tensor); }

std::int32_t tsm_edge_shift_step(const tsm_edge_tensor* t, std::int64_t fold, const void* x,
                                 const void* cache, void* y, void* next) {
  const Size bytes = checked_bytes(*t);
  if (bytes < 0) return kTensor;
  if (tsm_edge::step_fault(t->n, t->c, t->h, t->w, fold) != nullptr) return kFold;
  tsm_edge_tensor part = *t;
  part.c = fold;
  const Size part_bytes = checked_bytes(part);
  const Buffer bx{x, bytes}, by{y, bytes}, bcache{cache, part_bytes}, bnext{next, part_bytes};
  if (missing(bx) || missing(by) || missing(bcache) || missing(bnext)) return kNull;
  if (!same_or_apart(bx, by) || !same_or_apart(bcache, bnext) || overlap(bx, bcache) || overlap(bx, bnext) ||
      overlap(by, bcache) || overlap(by, bnext)) {
    return kOverlap;
  }
  tsm_edge::cpu::shift_step(x, cache, y, next, extent(*t, t->c), extent(*t, fold), t->element_size);
  return kNone;
}

std::int32_t tsm_edge_shift_clip(const tsm_edge_tensor* t, std::int64_t n_segment, std::int64_t fold,
                                 std::int32_t bidirectional, const void* x, void* y) {
  const Size bytes = checked_bytes(*t);
  if (bytes < 0) return kTensor;
  const ClipShift<> clip{n_segment, fold, bidirectional != 0};
  if (n_segment < 1) return kSegment;
  if (t->n % n_segment != 0) return kFrames;
  if (tsm_edge::clip_fault(t->n, t->c, t->h, t->w, clip) != nullptr) return kFold;
  const Buffer bx{x, bytes}, by{y, bytes};
  if (missing(bx) || missing(by)) return kNull;
  if (!same_or_apart(bx, by)) return kOverlap;
  tsm_edge::cpu::shift_clip(x, y, extent(*t, t->c), clip, t->element_size);
  return kNone;
}

const char* tsm_edge_fault(std::int32_t code) {
  return code >= 0 && code < kFaultCount ? kFaults[code] : "an unknown code";
}

}  // extern "C"
