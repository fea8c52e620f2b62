"""Fuzzes the service with Schemathesis, from its OpenAPI description: no 5xx, no undocumented response.

`docqa serve` runs in its own process, over a new home folder with examples/corpus, a saved evaluation and the built-in
models. Every route gets the description's examples and bounds, and random valid and invalid requests. Stateful sequences
read and delete what earlier requests created. Checks of each response: no 5xx, a documented status, content type and body.
Undocumented methods must be rejected, with `Allow` set.

    pip install schemathesis                       # into another environment; not needed by docqa
    python -m benchmarks.fuzzing --tool /path/to/schemathesis [--seconds 300] [--seed 1]

The exit status is schemathesis's own: 0 when nothing was found.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks import machine
from benchmarks.serving import fill, service

CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "unsupported_method",
    "allow_header_conformance",
)


def evaluation(home: Path, place: Path) -> None:
    """Creates a saved evaluation, so that its routes have content."""
    questions = place / "asked.jsonl"
    row = {"id": "1", "lang": "en", "question": "Who came?", "context": "Ana came."}
    questions.write_text(json.dumps({**row, "answers": [{"text": "Ana", "answer_start": 0}]}))
    line = ["evaluate", questions, "--reader", "builtin", "--home", home, "--name", "first"]
    command = [sys.executable, "-m", "qa_pipeline.cli", *map(str, line)]
    subprocess.run(command, cwd=machine.ROOT, check=True, stdout=subprocess.DEVNULL)


def main() -> int:
    parser = argparse.ArgumentParser(prog="benchmarks.fuzzing", description="Ask the service everything.")
    parser.add_argument("--tool", default=shutil.which("schemathesis"), help="the program schemathesis")
    parser.add_argument("--seconds", type=int, default=300, help="for all of it")
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args()
    if not chosen.tool:
        parser.error("schemathesis is not installed; name it with --tool")
    print(machine.line(machine.facts()))
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "home"
        with service(home) as (url, _):
            fill(url)
            evaluation(home, Path(folder))
            command = [chosen.tool, "run", f"{url}/schema/openapi.json", "--checks", ",".join(CHECKS)]
            command += ["--max-time", str(chosen.seconds), "--seed", str(chosen.seed), "--continue-on-failure"]
            command += ["--suppress-health-check", "all", "--warnings", "off", "--request-timeout", "60"]
            return subprocess.run(command, cwd=folder, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
