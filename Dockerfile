# The base image of both stages: a virtual environment only works with the interpreter that made it.
ARG PYTHON_IMAGE=python:3.13-slim

FROM ${PYTHON_IMAGE} AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
RUN python -m venv /opt/venv
COPY requirements-serve.lock requirements-redis.lock requirements-postgres.lock requirements-connectors.lock /tmp/
RUN /opt/venv/bin/python -m pip install --no-deps --require-hashes --only-binary :all: \
        --requirement /tmp/requirements-serve.lock --requirement /tmp/requirements-redis.lock \
        --requirement /tmp/requirements-postgres.lock --requirement /tmp/requirements-connectors.lock \
    && /opt/venv/bin/python -m pip uninstall --yes setuptools pip
WORKDIR /srv
COPY main.py ./
COPY app ./app
COPY models ./models
# Compiled here, and readable by everyone, because the service's user owns nothing and may not write.
RUN /opt/venv/bin/python -m compileall -q --invalidation-mode unchecked-hash app main.py && chmod -R a+rX /srv

FROM ${PYTHON_IMAGE}
ENV PATH=/opt/venv/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 PORT=8000
COPY --from=build /opt/venv /opt/venv
COPY --from=build /srv /srv
WORKDIR /srv
# A number, so that Kubernetes' runAsNonRoot can check it. It may write nowhere: what the service keeps needs a volume at
# /srv/var, or STORE_URL; without them it serves and keeps nothing (docs/operations.md).
USER 65532:65532
EXPOSE 8000
HEALTHCHECK --interval=30s --timeout=3s --start-period=10s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request; urllib.request.urlopen('http://127.0.0.1:' + os.environ['PORT'] + '/health/ready', timeout=2)"]
CMD ["python", "-m", "app", "--host", "0.0.0.0"]
