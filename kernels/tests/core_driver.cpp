// Runs the CPU kernels on random shapes and compares each element with a naive loop that shares no code with them.
// tests/kernels/test_core_sanitized.py compiles it with ASan and UBSan; scripts/check_aarch64.sh runs it under qemu.
// Every buffer is its own heap block that ends where the tensor ends, so ASan reports each access out of bounds.
//
//   core_driver SEED ROUNDS      each round is a step and a clip; exit status 1 at the first wrong element
//
// -DTSM_EDGE_PLANT_OFF_BY_ONE gives the kernels one channel more than the buffers have. The test uses it to prove that
// the sanitizer would report such a fault.
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <random>

#include "../core/temporal_shift_cpu.h"

namespace {

#ifdef TSM_EDGE_PLANT_OFF_BY_ONE
constexpr std::int64_t kPlanted = 1;
#else
constexpr std::int64_t kPlanted = 0;
#endif

std::mt19937 g_random;
std::int64_t draw(std::int64_t low, std::int64_t high) {
  return low + static_cast<std::int64_t>(g_random() % static_cast<std::uint32_t>(high - low + 1));
}

// A tensor (n, c, h, w) in one of the layouts. The addressing is written out here, not taken from core/.
class Tensor {
 public:
  Tensor(std::int64_t n, std::int64_t c, std::int64_t h, std::int64_t w, int layout, int element)
      : n_(n), c_(c), h_(h), w_(w), layout_(layout), element_(element), data_(new std::uint8_t[bytes()]) {}

  std::int64_t padded() const {
    const std::int64_t multiple = layout_ == 0   ? 1
                                  : layout_ == 1 ? 8
                                  : layout_ == 2 ? 2
                                  : layout_ == 3 ? 4
                                                 : 32;
    return (c_ + multiple - 1) / multiple * multiple;
  }
  std::size_t bytes() const { return static_cast<std::size_t>(n_ * padded() * h_ * w_ * element_); }
  std::uint8_t* data() { return data_.get(); }
  void randomise() {
    for (std::size_t i = 0; i < bytes(); ++i) data_[i] = static_cast<std::uint8_t>(g_random());
  }

  // Address of the element at (n, c, pixel). c may be a padding lane.
  std::uint8_t* at(std::int64_t n, std::int64_t c, std::int64_t pixel) {
    const std::int64_t plane = h_ * w_;
    std::int64_t index = 0;
    if (layout_ == 0) index = (n * c_ + c) * plane + pixel;
    if (layout_ == 1) index = (n * plane + pixel) * padded() + c;
    if (layout_ >= 2) {
      const std::int64_t v = layout_ == 2 ? 2 : layout_ == 3 ? 4 : 32;
      index = ((n * (padded() / v) + c / v) * plane + pixel) * v + c % v;
    }
    return data_.get() + index * element_;
  }

  // The extent that the kernels are given.
  tsm_edge::Extent<> extent() const {
    return tsm_edge::extent_of<tsm_edge::Size>(static_cast<tsm_edge::Layout>(layout_), n_, c_ + kPlanted, h_,
                                               w_);
  }

 private:
  std::int64_t n_, c_, h_, w_;
  int layout_, element_;
  std::unique_ptr<std::uint8_t[]> data_;
};

void expect(const std::uint8_t* got, const std::uint8_t* expected, int element, const char* what) {
  if (kPlanted != 0) return;  // the sanitizer must report the fault, not this comparison
  static const std::uint8_t zeros[4] = {};
  if (std::memcmp(got, expected != nullptr ? expected : zeros, static_cast<std::size_t>(element)) == 0)
    return;
  std::fprintf(stderr, "core_driver: wrong element in %s\n", what);
  std::exit(1);
}

// Valid sizes must be accepted by step_fault and clip_fault, which the adapters call before the kernels.
void expect_accepted(const char* fault) {
  if (fault == nullptr) return;
  std::fprintf(stderr, "core_driver: refused: %s\n", fault);
  std::exit(1);
}

struct Shape {
  std::int64_t n, c, h, w;
  int layout, element;
};

Shape random_shape() {
  const std::int64_t c = draw(0, 3) == 0 ? draw(0, 70) : draw(1, 20);
  return {draw(0, 3), c, draw(0, 7), draw(0, 7), static_cast<int>(draw(0, 4)), 1 << draw(0, 2)};
}

Tensor tensor(const Shape& s, std::int64_t channels) {
  return {s.n, channels, s.h, s.w, s.layout, s.element};
}

Tensor copy_of(const Shape& s, std::int64_t channels, Tensor* from) {
  Tensor to = tensor(s, channels);
  std::copy(from->data(), from->data() + from->bytes(), to.data());
  return to;
}

void check_step(const Shape& s) {
  const std::int64_t fold = draw(0, s.c);
  const bool y_is_x = draw(0, 1) == 1, next_is_cache = draw(0, 1) == 1;
  Tensor x = tensor(s, s.c), y = tensor(s, s.c), cache = tensor(s, fold), next = tensor(s, fold);
  for (Tensor* t : {&x, &y, &cache, &next}) t->randomise();
  Tensor old_x = copy_of(s, s.c, &x), old_cache = copy_of(s, fold, &cache);
  Tensor *new_y = y_is_x ? &x : &y, *new_cache = next_is_cache ? &cache : &next;
  expect_accepted(tsm_edge::step_fault(s.n, s.c, s.h, s.w, fold));
  tsm_edge::cpu::shift_step(x.data(), cache.data(), new_y->data(), new_cache->data(), x.extent(),
                            cache.extent(), s.element);
  for (std::int64_t n = 0; n < s.n; ++n) {
    for (std::int64_t p = 0; p < s.h * s.w; ++p) {
      for (std::int64_t c = 0; c < x.padded(); ++c) {
        const bool keeps = c >= fold && (c < s.c || y_is_x);
        expect(new_y->at(n, c, p),
               c < fold ? old_cache.at(n, c, p)
               : keeps  ? old_x.at(n, c, p)
                        : nullptr,
               s.element, "y of a step");
      }
      for (std::int64_t c = 0; c < cache.padded(); ++c) {
        expect(new_cache->at(n, c, p), c < fold ? old_x.at(n, c, p) : nullptr, s.element, "next of a step");
      }
    }
  }
}

void check_clip(Shape s) {
  const std::int64_t segment = draw(1, 5);
  s.n *= segment;
  const bool bidirectional = draw(0, 1) == 1, y_is_x = draw(0, 1) == 1;
  const std::int64_t fold = draw(0, bidirectional ? s.c / 2 : s.c);
  Tensor x = tensor(s, s.c), y = tensor(s, s.c);
  x.randomise();
  y.randomise();
  Tensor old_x = copy_of(s, s.c, &x);
  Tensor* new_y = y_is_x ? &x : &y;
  const tsm_edge::ClipShift<> clip{segment, fold, bidirectional};
  expect_accepted(tsm_edge::clip_fault(s.n, s.c, s.h, s.w, clip));
  tsm_edge::cpu::shift_clip(x.data(), new_y->data(), x.extent(), clip, s.element);
  for (std::int64_t n = 0; n < s.n; ++n) {
    for (std::int64_t p = 0; p < s.h * s.w; ++p) {
      for (std::int64_t c = 0; c < x.padded(); ++c) {
        std::int64_t from = n;
        if (bidirectional && c < fold) from = n % segment == segment - 1 ? -1 : n + 1;
        if (bidirectional ? c >= fold && c < 2 * fold : c < fold) from = n % segment == 0 ? -1 : n - 1;
        if (c >= s.c) from = y_is_x ? n : -1;
        expect(new_y->at(n, c, p), from < 0 ? nullptr : old_x.at(from, c, p), s.element, "y of a clip");
      }
    }
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  g_random.seed(static_cast<std::uint32_t>(std::atoi(argv[1])));
  for (int round = std::atoi(argv[2]); round > 0; --round) {
    check_step(random_shape());
    check_clip(random_shape());
  }
  return 0;
}
