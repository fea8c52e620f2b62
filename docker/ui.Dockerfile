# The page, without torch: it speaks HTTP with the API, and reads no more than the head of a file of questions itself.
# `docker build -f docker/ui.Dockerfile -t docqa-ui .` at the top of the repository; docker/compose.yaml runs it.

FROM python:3.11-slim-bookworm AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PATH=/opt/docqa/bin:$PATH
RUN python -m venv /opt/docqa
WORKDIR /build
COPY constraints.txt ./
RUN pip install --constraint constraints.txt streamlit==1.67.0 httpx==0.28.1 httpx-sse==0.4.3 \
    msgspec==0.22.0 openpyxl==3.1.5 babel==2.19.0

FROM python:3.11-slim-bookworm
RUN groupadd --gid 10001 docqa && useradd --uid 10001 --gid docqa --create-home docqa
COPY --from=build /opt/docqa /opt/docqa
COPY ui /srv/docqa/ui
# PYTHONPATH: the pages import `ui`, which is not installed here.
ENV PATH=/opt/docqa/bin:$PATH PYTHONUNBUFFERED=1 PYTHONPATH=/srv/docqa DOCQA_API_URL=http://api:8080
USER 10001:10001
WORKDIR /srv/docqa
EXPOSE 8501
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8501/_stcore/health', timeout=4)"]
CMD ["python", "-m", "streamlit", "run", "ui/server.py", "--server.address=0.0.0.0", "--server.port=8501", \
    "--server.headless=true", "--browser.gatherUsageStats=false"]
