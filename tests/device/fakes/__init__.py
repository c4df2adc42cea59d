"""Stand-ins for what a board has and this machine has not: a GPU, pycuda, CUDA graphs, TensorRT 8.2, 10 and 11.

They take the calls that the real ones take, by the same names and arguments, in the orders that the real ones allow,
and compute what the network computes (by ONNX Runtime on the bytes that were parsed). A GPU of numbers: memory that
must be allocated, streams that do nothing until somebody waits for them, contexts that must be current.

What they are held against: TensorRT 8.2.1's and pycuda 2022.1's Python bindings (`real_api.json`), TensorRT 10's
published stubs and the real tensorrt-rtx (tests/kernels/test_tensorrt_build.py, in `make kernels-check`). They are not
TensorRT: what its builder makes of a network, and how fast, no fake can say.
"""
