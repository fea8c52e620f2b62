# The API: `docker build -f docker/api.Dockerfile -t docqa-api .` at the top of the repository; docker/compose.yaml runs it.

FROM python:3.11-slim-bookworm AS build
# PyTorch's index of CPU builds; another of its indexes for a GPU.
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PATH=/opt/docqa/bin:$PATH
RUN python -m venv /opt/docqa
WORKDIR /build
# What changes seldom stands first: torch, then everything else that is needed, then docqa itself.
COPY constraints.txt ./
RUN pip install --index-url "$TORCH_INDEX" "$(grep '^torch==' constraints.txt)"
COPY pyproject.toml ./
RUN python -c "import pathlib, tomllib; print(*tomllib.loads(pathlib.Path('pyproject.toml').read_text('utf-8'))['project']['dependencies'], sep='\n')" \
        > requirements.txt \
    && pip install --constraint constraints.txt --requirement requirements.txt
COPY README.md LICENSE ./
COPY indexing ./indexing
COPY qa_pipeline ./qa_pipeline
COPY ui ./ui
RUN pip install --no-deps .

FROM python:3.11-slim-bookworm
RUN groupadd --gid 10001 docqa \
    && useradd --uid 10001 --gid docqa --create-home docqa \
    && install --directory --owner docqa --group docqa /home/docqa/data
COPY --from=build /opt/docqa /opt/docqa
# Models of the hub, and what is made of them, are kept beside the corpora, in the volume.
ENV PATH=/opt/docqa/bin:$PATH PYTHONUNBUFFERED=1 HF_HOME=/home/docqa/data/models \
    DOCQA_CACHE=/home/docqa/data/cache HAYSTACK_TELEMETRY_ENABLED=False
USER 10001:10001
WORKDIR /home/docqa
VOLUME ["/home/docqa/data"]
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=5s --start-period=120s --retries=3 \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8080/health', timeout=4)"]
CMD ["docqa", "serve", "--home", "/home/docqa/data", "--host", "0.0.0.0", "--port", "8080"]
