# The three images, for people with Docker:
#   docker build --target operator -t volary/operator .
#   docker build --target agent -t volary/agent .
#   docker build --target server -t volary/server .
# The test cluster builds the same from packages without Docker (tests/cluster/).
FROM python:3.11-slim-bookworm AS base
ENV PYTHONPATH=/deps:/app ORT_DISABLE_TELEMETRY=1
WORKDIR /app

FROM base AS operator-deps
COPY constraints/operator.txt /tmp/constraints.txt
RUN pip install --no-cache-dir --require-hashes --target /deps -r /tmp/constraints.txt

FROM base AS agent-deps
COPY constraints/agent.txt /tmp/constraints.txt
RUN pip install --no-cache-dir --require-hashes --target /deps -r /tmp/constraints.txt

FROM base AS server-deps
COPY constraints/server.txt /tmp/constraints.txt
RUN pip install --no-cache-dir --require-hashes --target /deps -r /tmp/constraints.txt

FROM base AS operator
COPY --from=operator-deps /deps /deps
COPY operator/volary /app/volary
USER 65532:65532
ENTRYPOINT ["python3", "-m", "volary"]

FROM base AS agent
COPY --from=agent-deps /deps /deps
COPY operator/volary /app/volary
USER 65532:65532
ENTRYPOINT ["python3", "-m", "volary"]

FROM base AS server
COPY --from=server-deps /deps /deps
COPY operator/volary /app/volary
USER 65532:65532
ENTRYPOINT ["python3", "-m", "volary"]
