// The CPU shift against memcpy of the same bytes, for benchmarks/bench_shift_cpu.py: both sides in turn on the same
// buffers, CPU time of the calling thread, one line a shape: form, N, C, H, W, fold, then the medians in ns of the
// kernel and of memcpy, then the median of the ratio, round by round.
#include <time.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "../core/c_api.h"

namespace {

double now() {
  timespec t;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return 1e9 * static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec);
}

// One value of the two sides' round, by as many calls as make a round long enough to time.
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

// The places of the online MobileNetV2 and of ResNet-50 at 224 x 224, then clips of 8 frames.
const Shape kShapes[] = {
    {"step", 1, 24, 56, 56, 3},   {"step", 1, 32, 28, 28, 4},   {"step", 1, 64, 14, 14, 8},
    {"step", 1, 96, 14, 14, 12},  {"step", 1, 160, 7, 7, 20},   {"step", 1, 256, 56, 56, 32},
    {"step", 1, 512, 28, 28, 64}, {"step", 1, 2048, 7, 7, 256}, {"clip", 8, 24, 56, 56, 3},
    {"clip", 8, 96, 14, 14, 12},  {"clip", 8, 256, 56, 56, 32},
};

void measure(const Shape& s, int rounds) {
  const tsm_edge_tensor t = {s.n, s.c, s.h, s.w, TSM_EDGE_LINEAR, 4};
  const tsm_edge_tensor part = {s.n, s.fold, s.h, s.w, TSM_EDGE_LINEAR, 4};
  const std::size_t bytes = static_cast<std::size_t>(tsm_edge_bytes(&t));
  const bool step = std::strcmp(s.form, "step") == 0;
  const std::size_t part_bytes = step ? static_cast<std::size_t>(tsm_edge_bytes(&part)) : 0;
  std::vector<char> x(bytes, 1), y(bytes, 2), cache(part_bytes + 1, 3), next(part_bytes + 1, 4);
  const int calls = static_cast<int>(1 + (4 << 20) / (bytes + part_bytes));
  const auto kernel = [&] {
    const int fault = step ? tsm_edge_shift_step(&t, s.fold, x.data(), cache.data(), y.data(), next.data())
                           : tsm_edge_shift_clip(&t, s.n, s.fold, 1, x.data(), y.data());
    if (fault != 0) std::abort();
  };
  const auto copy = [&] {
    std::memcpy(y.data(), x.data(), bytes);
    std::memcpy(next.data(), cache.data(), part_bytes);
    __asm__ volatile("" ::: "memory");  // or the compiler drops copies that nobody reads
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
