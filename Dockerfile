# The operator, the HTTP API, a broker, a site of the market and its relay, the provider of boards and the hub. Build: docker build -t continuo:0.1.0 .
# Both stages have the same base, because the virtual environment of the first runs in the second.
FROM python:3.12.8-slim-bookworm AS build
WORKDIR /src
COPY pyproject.toml README.md constraints.txt ./
COPY src ./src
COPY testbed ./testbed
RUN ["python", "-m", "pip", "wheel", "--no-cache-dir", "--no-deps", "--wheel-dir", "/wheels", "."]
RUN ["python", "-m", "venv", "/opt/continuo"]
RUN ["/opt/continuo/bin/python", "-m", "pip", "install", "--no-cache-dir", "--constraint", "constraints.txt", "/wheels/continuo-0.1.0-py3-none-any.whl[server,broker,edge,hub,placement,kafka,tracing]"]

FROM python:3.12.8-slim-bookworm
LABEL org.opencontainers.image.title="continuo" org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /opt/continuo /opt/continuo
ENV PATH=/opt/continuo/bin:/usr/local/bin:/usr/bin:/bin PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
USER 65532:65532
WORKDIR /tmp
ENTRYPOINT ["continuo"]
CMD ["operator", "--leader-election"]
