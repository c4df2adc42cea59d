// The CPU kernels of core/ as two C functions, for tests/kernels/core_library.py (ctypes).
//
// sizes: frames, channels, height, width of x. layout: a tsm_edge::Layout. element: bytes of an element. Each function
// returns nullptr, or what is wrong with the sizes; the kernel did not run in that case.
#include "../core/temporal_shift_cpu.h"

namespace {

using tsm_edge::Extent;
using tsm_edge::Size;

Extent<> extent_of(const Size* sizes, Size channels, std::int32_t layout) {
  return tsm_edge::extent_of<Size>(static_cast<tsm_edge::Layout>(layout), sizes[0], channels, sizes[2],
                                   sizes[3]);
}

}  // namespace

extern "C" {

const char* core_shift_step(const Size* sizes, Size fold, std::int32_t layout, Size element, const void* x,
                            const void* cache, void* y, void* next) {
  const char* const fault = tsm_edge::step_fault(sizes[0], sizes[1], sizes[2], sizes[3], fold);
  if (fault != nullptr) return fault;
  tsm_edge::cpu::shift_step(x, cache, y, next, extent_of(sizes, sizes[1], layout),
                            extent_of(sizes, fold, layout), element);
  return nullptr;
}

const char* core_shift_clip(const Size* sizes, Size n_segment, Size fold, std::int32_t bidirectional,
                            std::int32_t layout, Size element, const void* x, void* y) {
  const tsm_edge::ClipShift<> clip{n_segment, fold, bidirectional != 0};
  const char* const fault = tsm_edge::clip_fault(sizes[0], sizes[1], sizes[2], sizes[3], clip);
  if (fault != nullptr) return fault;
  tsm_edge::cpu::shift_clip(x, y, extent_of(sizes, sizes[1], layout), clip, element);
  return nullptr;
}

}  // extern "C"
