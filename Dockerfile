# Two images from one file: `operator` runs the operator, `worker` is what workers are built on. docs/images.md explains
# both. `make image` builds them; by hand: docker build --target worker --tag dbos-worker .
ARG PYTHON_IMAGE=docker.io/library/python:3.13.13-slim-trixie

# pip and the build backend, apart from what is shipped. A package index or a proxy of your own comes in as secrets:
# `pip` is a pip.conf, `ca` a bundle of certificates that it may name as /run/secrets/ca. No image keeps either.
FROM ${PYTHON_IMAGE} AS tools
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_NO_COMPILE=1 PIP_ROOT_USER_ACTION=ignore
COPY requirements/build.txt /build/requirements/
RUN --mount=type=secret,id=pip,target=/etc/pip.conf --mount=type=secret,id=ca \
    python3 -m venv /opt/tools \
    && /opt/tools/bin/pip install --quiet --only-binary=:all: --require-hashes -r /build/requirements/build.txt \
    && python3 -m venv --without-pip /opt/venv

# Dependencies are layers of their own: a change of the source sends only the source again.
# Bytecode is compiled here and never checked against the source, as nothing can be written once the image runs.
FROM tools AS operator-dependencies
COPY requirements/operator.txt /build/requirements/
RUN --mount=type=secret,id=pip,target=/etc/pip.conf --mount=type=secret,id=ca \
    /opt/tools/bin/pip --python /opt/venv/bin/python install \
      --quiet --only-binary=:all: --require-hashes -r /build/requirements/operator.txt \
    && python3 -m compileall -q -j 0 --invalidation-mode unchecked-hash /opt/venv/lib

FROM tools AS worker-dependencies
COPY requirements/runtime.txt /build/requirements/
RUN --mount=type=secret,id=pip,target=/etc/pip.conf --mount=type=secret,id=ca \
    /opt/tools/bin/pip --python /opt/venv/bin/python install \
      --quiet --only-binary=:all: --require-hashes -r /build/requirements/runtime.txt \
    && python3 -m compileall -q -j 0 --invalidation-mode unchecked-hash /opt/venv/lib

# This project: a wheel, unpacked as it will lie in /opt/venv.
FROM tools AS project
WORKDIR /build
COPY pyproject.toml README.md LICENSE ./
COPY crds crds
COPY runtime runtime
COPY operator operator
RUN /opt/tools/bin/pip wheel --quiet --no-deps --no-build-isolation --no-index --wheel-dir /build/wheels . \
    && /opt/tools/bin/pip --python /opt/venv/bin/python install \
      --quiet --no-deps --no-index --prefix /opt/project /build/wheels/*.whl \
    && python3 -m compileall -q -j 0 -s /opt/project -p /opt/venv --invalidation-mode unchecked-hash /opt/project/lib

# What both images stand on: an interpreter without pip, and a user who owns nothing.
FROM ${PYTHON_IMAGE} AS base
RUN rm -rf /root/.cache /usr/local/bin/pip* /usr/local/lib/python3*/ensurepip /usr/local/lib/python3*/site-packages/pip* \
    && echo 'dbos:x:65532:65532:DBOS:/tmp:/usr/sbin/nologin' >> /etc/passwd \
    && echo 'dbos:x:65532:' >> /etc/group
ENV PATH=/opt/venv/bin:$PATH HOME=/tmp PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
USER 65532:65532

FROM base AS operator
COPY --from=operator-dependencies /opt/venv /opt/venv
COPY --from=project /opt/project /opt/venv
ENTRYPOINT ["dbos-operator"]
CMD ["run"]
ARG VERSION=dev
ARG REVISION=unknown
LABEL org.opencontainers.image.title="dbos-operator" \
      org.opencontainers.image.description="Runs the queues, schedules and workers of DBOS applications on Kubernetes" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"

FROM base AS worker
COPY --from=worker-dependencies /opt/venv /opt/venv
COPY --from=project /opt/project /opt/venv
ARG APPLICATION=examples/kubernetes
COPY ${APPLICATION}/ /app/
WORKDIR /app
CMD ["dbos", "worker", "app.py"]
ARG VERSION=dev
ARG REVISION=unknown
LABEL org.opencontainers.image.title="dbos-worker" \
      org.opencontainers.image.description="Python with the DBOS runtime: the base of workers" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
