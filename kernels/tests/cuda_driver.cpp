// Runs the CUDA kernels on the CPU (cuda_shim) for tests/kernels/cuda_driver.py: reads requests from stdin, until that
// ends, and writes the answers to stdout. A request is a line of words and numbers, followed by the raw inputs. An
// answer is "<cudaError_t> <launches>\n", followed by the raw outputs. Every buffer is its own heap block that ends
// where the tensor ends, so ASan reports each access past it. Outputs are filled with 0xA5 first, so that an element
// that was never written is noticed.
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "../cuda/c_api.h"
#include "../cuda/temporal_shift.cuh"

namespace {

// A tensor that starts `offset` bytes past a boundary of 16.
class Buffer {
 public:
  explicit Buffer(std::size_t size, std::size_t offset = 0) : bytes_(new unsigned char[size + offset]) {
    data = bytes_.get() + offset;
    bytes = size;
    for (std::size_t i = 0; i < size; ++i) data[i] = 0xA5;
  }
  Buffer& filled() {
    if (std::fread(data, 1, bytes, stdin) != bytes) std::exit(3);
    return *this;
  }
  void answer() const { std::fwrite(data, 1, bytes, stdout); }

  unsigned char* data;
  std::size_t bytes;

 private:
  std::unique_ptr<unsigned char[]> bytes_;
};

template <typename Number = long long>
Number number() {
  double value;
  if (std::scanf("%lf", &value) != 1) std::exit(3);
  return static_cast<Number>(value);
}

void end_of_line() {
  if (std::getchar() != '\n') std::exit(3);
}

void answer_status(int status) { std::printf("%d %zu\n", status, cuda_shim::launches()); }

std::size_t bytes_of(tsm_edge_tensor tensor, long long channels) {
  return static_cast<std::size_t>(
             tsm_edge::extent_of<tsm_edge::Size>(static_cast<tsm_edge::Layout>(tensor.layout), tensor.n,
                                                 channels, tensor.h, tensor.w)
                 .size()) *
         tensor.element_size;
}

tsm_edge_tensor tensor() {
  tsm_edge_tensor t;
  t.element_size = number<int>();
  t.layout = number<int>();
  t.n = number();
  t.c = number();
  t.h = number();
  t.w = number();
  return t;
}

// step ELEMENT LAYOUT N C H W FOLD OFFSET Y_IS_X NEXT_IS_CACHE; x, cache -> y, next
void step() {
  const tsm_edge_tensor t = tensor();
  const long long fold = number();
  const auto offset = number<std::size_t>() * t.element_size;
  const bool y_is_x = number() != 0, next_is_cache = number() != 0;
  end_of_line();
  Buffer x(bytes_of(t, t.c), offset), cache(bytes_of(t, fold), offset), own_y(x.bytes, offset),
      own_next(cache.bytes, offset);
  x.filled();
  cache.filled();
  const Buffer &y = y_is_x ? x : own_y, &next = next_is_cache ? cache : own_next;
  answer_status(tsm_edge_cuda_shift_step(&t, fold, x.data, cache.data, y.data, next.data, nullptr));
  y.answer();
  next.answer();
}

// clip ELEMENT LAYOUT N C H W SEGMENT FOLD BIDIRECTIONAL OFFSET; x -> y
void clip() {
  const tsm_edge_tensor t = tensor();
  const long long segment = number(), fold = number();
  const int bidirectional = number<int>();
  const auto offset = number<std::size_t>() * t.element_size;
  end_of_line();
  Buffer x(bytes_of(t, t.c), offset), y(x.bytes, offset);
  x.filled();
  answer_status(tsm_edge_cuda_shift_clip(&t, segment, fold, bidirectional, x.data, y.data, nullptr));
  y.answer();
}

// refuse_step ELEMENT LAYOUT N C H W FOLD X CACHE Y NEXT, refuse_clip ELEMENT LAYOUT N C H W SEGMENT FOLD BIDIRECTIONAL
// X Y: calls that must be refused. The buffers are addresses that the call must not access.
unsigned char* address() { return reinterpret_cast<unsigned char*>(number<std::uintptr_t>()); }

void refuse_step() {
  const tsm_edge_tensor t = tensor();
  const long long fold = number();
  unsigned char* const x = address();
  unsigned char* const cache = address();
  unsigned char* const y = address();
  unsigned char* const next = address();
  end_of_line();
  answer_status(tsm_edge_cuda_shift_step(&t, fold, x, cache, y, next, nullptr));
}

void refuse_clip() {
  const tsm_edge_tensor t = tensor();
  const long long segment = number(), fold = number();
  const int bidirectional = number<int>();
  unsigned char* const x = address();
  unsigned char* const y = address();
  end_of_line();
  answer_status(tsm_edge_cuda_shift_clip(&t, segment, fold, bidirectional, x, y, nullptr));
}

tsm_edge_axis axis() {
  tsm_edge_axis a;
  for (std::int32_t* value : {&a.begin, &a.length, &a.resized, &a.keep, &a.size}) *value = number<int>();
  return a;
}

// preprocess PITCH H W ROWS(5) COLUMNS(5) FILTER HALVINGS RGB MEAN(3) STD(3) ELEMENT; image -> out
void preprocess() {
  const long long pitch = number();
  const int height = number<int>(), width = number<int>();
  const tsm_edge_axis rows = axis(), columns = axis();
  const int filter = number<int>(), halvings = number<int>(), rgb = number<int>();
  float mean[3], std[3];
  for (float& value : mean) value = number<float>();
  for (float& value : std) value = number<float>();
  const int element_size = number<int>();
  end_of_line();
  Buffer image(static_cast<std::size_t>(pitch * (height - 1) + 3 * width));
  Buffer out(static_cast<std::size_t>(3) * rows.size * columns.size * element_size);
  image.filled();
  answer_status(tsm_edge_cuda_preprocess(image.data, pitch, height, width, &rows, &columns, filter, halvings,
                                         rgb, mean, std, out.data, element_size, nullptr));
  out.answer();
}

}  // namespace

int main() {
  char word[16];
  while (std::scanf("%15s", word) == 1) {
    const std::string request = word;
    if (request == "step") {
      step();
    } else if (request == "clip") {
      clip();
    } else if (request == "refuse_step") {
      refuse_step();
    } else if (request == "refuse_clip") {
      refuse_clip();
    } else if (request == "preprocess") {
      preprocess();
    } else {
      return 3;
    }
    std::fflush(stdout);
  }
  return 0;
}
