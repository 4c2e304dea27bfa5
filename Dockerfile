# The reference broker, which lets nobody in unless it is told whom, and the compatibility matrix by argument:
#   docker run -p 127.0.0.1:1883:1883 mqtt-interop broker --host 0.0.0.0 --allow-anonymous
#   docker run -p 1883:1883 -e MQTT_INTEROP_PASSWORD mqtt-interop    # for one user, mqtt or $MQTT_INTEROP_USERNAME
#   mkdir -p compat && docker run --user "$(id -u)" -v "$PWD/compat:/compat/compat" mqtt-interop run --client paho
# BASE needs Python 3.11 or newer with its venv module; where no registry can be reached, make one and name it here.
ARG BASE=python:3.11-slim-bookworm

FROM ${BASE} AS build
WORKDIR /source
COPY pyproject.toml README.md LICENSE ./
COPY reference_broker reference_broker
COPY interop interop
COPY reports reports
COPY scenarios scenarios
# Wheels in vendor/, if there are any, serve where no package index can be reached.
COPY vendor* vendor/
RUN python3 -m venv /opt/mqtt-interop \
 && if ls vendor/*.whl >/dev/null 2>&1; then offline="--no-index --find-links vendor"; else offline=""; fi \
 && /opt/mqtt-interop/bin/pip install --no-cache-dir --disable-pip-version-check $offline '.[harness,access,observe]' \
 && /opt/mqtt-interop/bin/pip uninstall --yes --quiet pip \
 && find /opt/mqtt-interop -name __pycache__ -prune -exec rm -rf {} +

FROM ${BASE}
COPY --from=build /opt/mqtt-interop /opt/mqtt-interop
RUN useradd --system --uid 10001 --no-create-home --shell /usr/sbin/nologin mqtt \
 && mkdir /compat && chown mqtt /compat
USER mqtt
WORKDIR /compat
ENV PATH=/opt/mqtt-interop/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
EXPOSE 1883
ENTRYPOINT ["mqtt-interop"]
CMD ["broker", "--host", "0.0.0.0"]
