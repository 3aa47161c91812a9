# The translation service with the models that ship.
#
#   docker build -t nmt .                          CPU
#   docker build -t nmt --build-arg TORCH_INDEX= . CUDA (several GB larger)
#   docker run --rm -p 127.0.0.1:8000:8000 nmt
#
# Runs as any user, downloads nothing, and needs no writable disk (--read-only --tmpfs /tmp).
# Own models: -v "$PWD/models:/models:ro".

ARG PYTHON_IMAGE=python:3.11-slim-bookworm

FROM ${PYTHON_IMAGE} AS build
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1 \
    PATH=/opt/venv/bin:$PATH
RUN python3 -m venv /opt/venv
WORKDIR /src

# Layers from the slowest to the most often changed: torch, the other dependencies, this project.
# torch comes alone, so that only its name is asked of the extra index; where that index cannot be reached pip goes on.
COPY requirements.lock pyproject.toml ./
# hadolint ignore=DL3013
RUN pip install --no-deps --retries 1 --timeout 10 ${TORCH_INDEX:+--extra-index-url "$TORCH_INDEX"} \
        "$(grep '^torch==' requirements.lock)"
RUN python -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["project"]["dependencies"], sep="\n")' \
        > dependencies.txt \
    && pip install --constraint requirements.lock --requirement dependencies.txt
COPY . .
RUN pip install --no-deps .

FROM ${PYTHON_IMAGE}
ARG VERSION=0.1.0
LABEL org.opencontainers.image.title="selfhost-nmt" \
      org.opencontainers.image.description="Self-hosted neural machine translation: train your own, serve it yourself" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /opt/venv /opt/venv
COPY models /models
# HOME: a user id without an entry in /etc/passwd has none of its own.
ENV PATH=/opt/venv/bin:$PATH \
    HOME=/tmp \
    NMT_MODELS=/models \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
USER 10001:10001
WORKDIR /tmp
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/livez', timeout=2)"]
ENTRYPOINT ["nmt"]
CMD ["serve", "--host", "0.0.0.0", "--port", "8000"]
