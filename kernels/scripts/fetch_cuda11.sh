#!/bin/sh
# Assemble a CUDA 11.8 toolkit in a folder, without installing anything. CUDA 11.8 is the last version whose nvcc
# supports sm_53, the architecture of the Jetson Nano.
#
#   fetch_cuda11.sh DEST WHEELS     -> DEST/bin/nvcc, DEST/bin/cuobjdump, DEST/include, DEST/lib64
#
# The programs come from Debian 12's package nvidia-cuda-toolkit (non-free). The headers and the runtime come from the
# folder WHEELS, which fetch_wheels.sh has filled (kernels_check_requirements.txt).
set -eu
dest=${1:?usage: fetch_cuda11.sh DEST WHEELS}
wheels=${2:?usage: fetch_cuda11.sh DEST WHEELS}
package_version=11.8.89~11.8.0-5~deb12u1
package_sha256=d1156026e704fe0368b6295db06224ed00a727966fb13454f34e3f3102db0457

fail() { echo "fetch_cuda11: $*" >&2; exit 1; }

if [ -f "$dest/complete" ] && [ "$(cat "$dest/complete")" = "$package_version" ]; then exit 0; fi
[ "$(uname -m)" = x86_64 ] || fail "these programs are for x86-64"
command -v apt-get >/dev/null || fail "needs apt-get, or a toolkit of yours: CUDA11_ROOT=..."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
ARCH=amd64 sh "$(dirname "$0")/fetch_debian_package.sh" nvidia-cuda-toolkit "$package_version" bookworm non-free "$work" \
  "$package_sha256"

rm -rf "$dest"
mkdir -p "$dest/bin" "$dest/nvvm/bin" "$dest/include" "$dest/lib64"
inside=$work/tree/usr/lib/nvidia-cuda-toolkit
cp -r "$inside/bin/nvcc" "$inside/bin/crt" "$dest/bin/"
for program in cudafe++ fatbinary ptxas nvlink bin2c cuobjdump nvdisasm; do
  cp "$work/tree/usr/bin/$program" "$dest/bin/"
done
cp "$inside/bin/cicc" "$dest/nvvm/bin/"
cp -r "$inside/libdevice" "$dest/nvvm/"
for package in cuda_nvcc cuda_runtime; do
  cp -r "$wheels/nvidia/$package/include/." "$dest/include/"
done
cp "$wheels/nvidia/cuda_runtime/lib/libcudart.so.11.0" "$dest/lib64/"
ln -s libcudart.so.11.0 "$dest/lib64/libcudart.so"
cat >"$dest/bin/nvcc.profile" <<'PROFILE'
TOP              = $(_HERE_)/..
CICC_PATH        = $(TOP)/nvvm/bin
NVVMIR_LIBRARY_DIR = $(TOP)/nvvm/libdevice
PATH            += $(CICC_PATH):$(_HERE_):
INCLUDES        +=  "-I$(TOP)/include" $(_SPACE_)
LIBRARIES        =+ $(_SPACE_) "-L$(TOP)/lib64"
PROFILE
echo "$package_version" >"$dest/complete"
