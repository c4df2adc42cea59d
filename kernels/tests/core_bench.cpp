// Times the CPU kernels against memcpy of the same bytes, for benchmarks/bench_shift_cpu.py.
//
//   core_bench [ROUNDS]
//
// Kernel and memcpy take turns on the same buffers. The clock is the CPU time of this thread. Prints one line per
// shape: form, N, C, H, W, fold, median ns of the kernel, median ns of memcpy, median over the rounds of their ratio.
#include <time.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "../core/temporal_shift_cpu.h"

namespace {

double now() {
  timespec t;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return 1e9 * static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec);
}

// Mean time of one call, in ns.
template <typename Call>
double nanoseconds(int calls, Call call) {
  const double start = now();
  for (int i = 0; i < calls; ++i) call();
  return (now() - start) / calls;
}

double median(std::vector<double> values) {
  std::nth_element(values.begin(), values.begin() + values.size() / 2, values.end());
  return values[values.size() / 2];
}

struct Shape {
  const char* form;
  std::int64_t n, c, h, w, fold;
};

// Inputs of the shifts in MobileNetV2 and ResNet-50 at 224 x 224, then clips of 8 frames.
const Shape kShapes[] = {
    {"step", 1, 24, 56, 56, 3},   {"step", 1, 32, 28, 28, 4},   {"step", 1, 64, 14, 14, 8},
    {"step", 1, 96, 14, 14, 12},  {"step", 1, 160, 7, 7, 20},   {"step", 1, 256, 56, 56, 32},
    {"step", 1, 512, 28, 28, 64}, {"step", 1, 2048, 7, 7, 256}, {"clip", 8, 24, 56, 56, 3},
    {"clip", 8, 96, 14, 14, 12},  {"clip", 8, 256, 56, 56, 32},
};

void measure(const Shape& s, int rounds) {
  using tsm_edge::Extent;
  const auto extent = [&](std::int64_t channels) {
    return tsm_edge::extent_of<tsm_edge::Size>(tsm_edge::Layout::kLinear, s.n, channels, s.h, s.w);
  };
  const Extent<> whole = extent(s.c), part = extent(s.fold);
  const tsm_edge::ClipShift<> clip{s.n, s.fold, true};
  const bool step = std::strcmp(s.form, "step") == 0;
  const std::size_t bytes = static_cast<std::size_t>(whole.size()) * sizeof(float);
  const std::size_t part_bytes = step ? static_cast<std::size_t>(part.size()) * sizeof(float) : 0;
  std::vector<char> x(bytes, 1), y(bytes, 2), cache(part_bytes + 1, 3), next(part_bytes + 1, 4);
  const int calls = static_cast<int>(1 + (4 << 20) / (bytes + part_bytes));
  const auto kernel = [&] {
    if (step) {
      tsm_edge::cpu::shift_step(x.data(), cache.data(), y.data(), next.data(), whole, part, sizeof(float));
    } else {
      tsm_edge::cpu::shift_clip(x.data(), y.data(), whole, clip, sizeof(float));
    }
    __asm__ volatile("" ::: "memory");  // else the compiler may drop copies that are never read
  };
  const auto copy = [&] {
    std::memcpy(y.data(), x.data(), bytes);
    std::memcpy(next.data(), cache.data(), part_bytes);
    __asm__ volatile("" ::: "memory");
  };
  std::vector<double> kernels, copies, ratios;
  for (int round = -3; round < rounds; ++round) {
    const double a = nanoseconds(calls, kernel), b = nanoseconds(calls, copy);
    if (round < 0) continue;
    kernels.push_back(a);
    copies.push_back(b);
    ratios.push_back(a / b);
  }
  std::printf("%s %ld %ld %ld %ld %ld %.0f %.0f %.4f\n", s.form, long(s.n), long(s.c), long(s.h), long(s.w),
              long(s.fold), median(kernels), median(copies), median(ratios));
}

}  // namespace

int main(int argc, char** argv) {
  const int rounds = argc > 1 ? std::atoi(argv[1]) : 101;
  for (const Shape& shape : kShapes) measure(shape, rounds);
  return 0;
}
