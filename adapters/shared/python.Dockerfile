# Of every adapter in Python, here of zmqtt:
# docker build -t mqtt-interop . && docker build -t adapter-zmqtt -f adapters/shared/python.Dockerfile adapters/zmqtt
# mqtt-interop run --client zmqtt-image=docker:adapter-zmqtt
ARG BASE=mqtt-interop
FROM ${BASE}
USER root
WORKDIR /adapter
COPY *.py requirements.txt ./
# Wheels in vendor/, if there are any, serve where no package index can be reached.
COPY vendor* vendor/
RUN if ls vendor/*.whl >/dev/null 2>&1; then offline="--no-index --find-links vendor"; else offline=""; fi \
 && python3 -m venv /tmp/venv \
 && /tmp/venv/bin/pip install --no-cache-dir --disable-pip-version-check $offline --no-deps --target build -r requirements.txt \
 && rm -rf /tmp/venv
USER mqtt
ENV PYTHONPATH=build
ENTRYPOINT ["python", "adapter.py"]
CMD []
