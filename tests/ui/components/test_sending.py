"""The progress of an upload counts what is read of each file, over a real service."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

import pytest

from tests.live import live
from ui.client.http import Client
from ui.components import sending
from ui.components.sending import SendingProgress, counted


class Place:
    """Remembers what was drawn."""

    def __init__(self) -> None:
        self.drawn: list[tuple[float, str]] = []

    def progress(self, share: float, text: str) -> None:
        self.drawn.append((share, text))


def test_each_file_is_named_while_it_is_sent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sending, "EVERY_S", 0.0)
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("inside.txt", "The mill closed in 1974.\n")
    files: list[tuple[str, Any, int]] = [
        ("a.txt", io.BytesIO(b"The bridge opened in 1912.\n" * 9_000), 243_000),
        ("b.txt", io.BytesIO(b"A walrus.\n"), 10),
        ("c.zip", packed, len(packed.getvalue())),
    ]
    packed.seek(0)
    place = Place()
    with live(tmp_path / "home") as service, Client(service.url) as client:
        client.create_corpus("test")
        sent = client.upload("test", counted(files, SendingProgress(place)))
        assert [one.status for one in sent.files] == ["stored"] * 3 and sent.job is not None
        service.wait(sent.job.id)
        assert client.get_corpus("test").documents == 3
    shares = [share for share, _ in place.drawn]
    assert shares == sorted(shares) and shares[-1] == 1.0 and 0 < shares[0] < 0.9
    numbers = list(dict.fromkeys(text.partition(":")[0] for _, text in place.drawn))
    assert numbers == [f"Sending file {number} of 3" for number in (1, 2, 3)]


def test_the_bar_is_not_drawn_for_every_chunk() -> None:
    place = Place()
    progress = SendingProgress(place)
    for sent in range(1_000):
        progress.show("a", 1, 1, sent, 1_000)
    assert 1 <= len(place.drawn) < 100
