"""`docqa ui --home`: its service is started again when its process ends."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from qa_pipeline.cli import serve


def test_a_service_that_ends_is_started_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(serve, "AGAIN_S", 0.05)
    starts = tmp_path / "starts"
    code = (
        f"import sys, time; starts = {str(starts)!r}; open(starts, 'a').write('x')\n"
        "if len(open(starts).read()) < 3: sys.exit(7)\n"
        "time.sleep(600)"
    )
    command, over = [sys.executable, "-c", code], threading.Event()
    watched = serve._Watched(command, subprocess.Popen(command), over)
    watched.start()
    try:
        until = time.monotonic() + 60
        while (not starts.exists() or len(starts.read_text()) < 3) and time.monotonic() < until:
            time.sleep(0.02)
        assert starts.read_text() == "xxx" and watched.service.poll() is None
        assert "the service ended (7); it is started again" in capfd.readouterr().err
    finally:
        over.set()
        watched.join()
        watched.service.kill()
        watched.service.wait()
