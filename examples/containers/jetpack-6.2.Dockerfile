# uhd-edge for a Jetson Orin with JetPack 6.2 (or 6.1): both halves on the GPU.
#
#     docker build -f examples/containers/jetpack-6.2.Dockerfile -t uhd-edge .
#     docker run --rm --runtime nvidia -v "$PWD:/work" uhd-edge doctor
#
# The image is NVIDIA's for JetPack 6.1, Jetson Linux 36.4: Ubuntu 22.04, Python 3.10, CUDA 12.6 with nvcc, and
# TensorRT 10.3 with trtexec and its Python package. JetPack 6.2 is Jetson Linux 36.4.3, and has no newer one.
#
# The board's own libraries, such as libcuda.so and libnvdla_compiler.so, are empty files in the image, over which
# `--runtime nvidia` mounts those of the board. While the image is built they are not there, so nothing here imports
# TensorRT: it is linked with libnvdla_compiler.so. The board needs the package nvidia-l4t-dla-compiler, which has it.
# The container's `doctor` says whether TensorRT loads.
#
# Build it on the Jetson: llama.cpp and pycuda are compiled, which takes half an hour or more.
FROM nvcr.io/nvidia/l4t-jetpack:r36.4.0

SHELL ["/bin/bash", "-o", "pipefail", "-c"]
ENV PATH=/opt/uhd-edge/bin:/usr/local/cuda/bin:/usr/src/tensorrt/bin:$PATH

# hadolint ignore=DL3008
RUN apt-get update \
    && DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends \
        build-essential python3-dev python3-libnvinfer python3-venv \
    && rm -rf /var/lib/apt/lists/* \
    && python3 -m venv --system-site-packages /opt/uhd-edge \
    && dpkg-query --show --showformat='${Version}\n' python3-libnvinfer | grep '^10\.3\.' \
    && /opt/uhd-edge/bin/python -c "import importlib.util as found; assert found.find_spec('tensorrt'), 'no TensorRT'"

# The language model's half first: it changes least. 87 is the GPU of every Orin.
ARG CUDA_ARCHITECTURES=87
RUN CMAKE_ARGS="-DGGML_CUDA=on -DCMAKE_CUDA_ARCHITECTURES=$CUDA_ARCHITECTURES -DLLAVA_BUILD=OFF" \
    CMAKE_BUILD_PARALLEL_LEVEL=2 pip install --no-cache-dir "llama-cpp-python>=0.3.36,<0.4" "pycuda>=2026.1"

COPY . /usr/src/uhd-edge
# Padding attention heads needs onnx-ir of the extra pull.
RUN pip install --no-cache-dir "/usr/src/uhd-edge[pull]"

WORKDIR /work
ENTRYPOINT ["uhd"]
CMD ["doctor"]
