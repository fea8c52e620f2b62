"""The services of compose.yaml are shut in, limited and offline, and find each other."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest

from qa_pipeline.cli.main import parser
from qa_pipeline.service.api_keys import KeyStore
from qa_pipeline.service.home import Home
from tests.docker.files import COMPOSE, DOCKER, IMAGES, ROOT, all_of, environment


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
