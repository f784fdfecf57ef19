# uhd-edge for a Jetson Orin or Thor with JetPack 7.2: both halves on the GPU.
#
#     docker build -f examples/containers/jetpack-7.2.Dockerfile -t uhd-edge .       # Thor: --build-arg CUDA_ARCHITECTURES=110
#     docker run --rm --runtime nvidia -v "$PWD:/work" uhd-edge doctor
#
# NVIDIA has no l4t-jetpack image for Jetson Linux 38 and 39, so this is its CUDA image for ARM: Ubuntu 24.04, Python
# 3.12, CUDA 13.2 with nvcc, no TensorRT. TensorRT 10.16 comes from the same package repository as on the board.
# While the image is built, the board's own libraries are not mounted, so nothing here imports TensorRT; the container's
# `doctor` says whether it loads.
# Build it on the Jetson: llama.cpp and pycuda are compiled, which takes half an hour or more.
FROM nvcr.io/nvidia/cuda:13.2.1-devel-ubuntu24.04

SHELL ["/bin/bash", "-o", "pipefail", "-c"]
ENV PATH=/opt/uhd-edge/bin:/usr/local/cuda/bin:/usr/src/tensorrt/bin:$PATH

# The image's own repository is for servers, and its TensorRT is another. The key is Jetson's.
ARG TENSORRT=10.16.2.10-1+cuda13.2
ADD --chmod=644 https://repo.download.nvidia.com/jetson/jetson-ota-public.asc /etc/apt/trusted.gpg.d/jetson-ota-public.asc
# hadolint ignore=DL3008
RUN rm -f /etc/apt/sources.list.d/cuda*.list \
    && echo "deb https://repo.download.nvidia.com/jetson/common r39.2 main" >/etc/apt/sources.list.d/jetson.list \
    && apt-get update \
    && DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends \
        build-essential python3-dev python3-venv \
        "libnvinfer-bin=$TENSORRT" "python3-libnvinfer=$TENSORRT" \
    && rm -rf /var/lib/apt/lists/* \
    && python3 -m venv --system-site-packages /opt/uhd-edge \
    && /opt/uhd-edge/bin/python -c "import importlib.util as found; assert found.find_spec('tensorrt'), 'no TensorRT'"

# The language model's half first: it changes least. 87 is the GPU of every Orin, 110 that of Thor.
ARG CUDA_ARCHITECTURES=87
RUN CMAKE_ARGS="-DGGML_CUDA=on -DCMAKE_CUDA_ARCHITECTURES=$CUDA_ARCHITECTURES -DLLAVA_BUILD=OFF" \
    CMAKE_BUILD_PARALLEL_LEVEL=2 pip install --no-cache-dir "llama-cpp-python>=0.3.36,<0.4" "pycuda>=2026.1"

COPY . /usr/src/uhd-edge
# Padding attention heads needs onnx-ir of the extra pull.
RUN pip install --no-cache-dir "/usr/src/uhd-edge[pull]"

WORKDIR /work
ENTRYPOINT ["uhd"]
CMD ["doctor"]
