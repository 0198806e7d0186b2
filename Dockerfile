# docker build .                  slim: ONNX Runtime, both weight files, no torch (the default)
# docker build --target torch .   torch on the CPU, serves the .pth
ARG PYTHON_IMAGE=docker.io/library/python:3.11-slim-bookworm

FROM ${PYTHON_IMAGE} AS packages
# --build-arg TRACING=1 adds what OpenTelemetry traces need.
ARG TRACING=
# --build-arg DICOM=1 adds what DICOM results need, 27 MB; DICOM images are read without.
ARG DICOM=
RUN python -m venv --without-pip /opt/venv
COPY requirements-serve.txt /tmp/
COPY requirements /tmp/requirements
RUN pip --python /opt/venv install --no-cache-dir --root-user-action ignore -r /tmp/requirements-serve.txt \
    ${TRACING:+-r /tmp/requirements/tracing.txt} ${DICOM:+-r /tmp/requirements/dicom.txt} \
    # 47 MB that nothing here loads: the packages' own tests, and ONNX Runtime for C, which its Python module has built in.
    && find /opt/venv -type d -name tests -prune -exec rm -r {} + \
    && rm -f /opt/venv/lib/python*/site-packages/onnxruntime/capi/libonnxruntime.so.*

FROM packages AS torch-packages
# PyTorch's index of CPU-only builds; the package index of Python has CUDA builds of several GB.
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
RUN pip --python /opt/venv install --no-cache-dir --root-user-action ignore \
    ${TORCH_INDEX:+--extra-index-url "$TORCH_INDEX"} -r /tmp/requirements/torch.txt

FROM ${PYTHON_IMAGE} AS application
WORKDIR /app
COPY model model
COPY api api
# The root may be read-only at run time: compile now.
RUN python -m compileall -q model api
COPY weights weights
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    BRAIN_MRI_HOST=0.0.0.0
ARG VERSION=0.2.0
LABEL org.opencontainers.image.title="brain-tumor-mri" \
      org.opencontainers.image.description="Classifies brain-MRI slices over HTTP and shows why. For research only." \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}"
USER 10001:10001
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request; urllib.request.urlopen('http://127.0.0.1:%s/readyz' % os.environ.get('BRAIN_MRI_PORT', 8000), timeout=4)"]
CMD ["python", "-m", "api"]

FROM application AS torch
COPY --from=torch-packages /opt/venv /opt/venv
ENV BRAIN_MRI_MODEL_PATH=weights/efficientnet_b0.pth

FROM application AS slim
COPY --from=packages /opt/venv /opt/venv
