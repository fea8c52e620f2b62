"""What `failing_disk` does to a folder while its disk fails, and how it knows that nothing was lost."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from benchmarks.disk_home_scenarios import BackingUp, Corpora, Deleting, Restoring, ServiceFacts, Uploading
from benchmarks.disk_index_scenarios import NEW, OLD, Ack, Compacting, Indexing, Repairing, Searching

BATCH = 1_200


def small_batches() -> None:
    """Make each index of a few files several transactions."""
    from indexing import prepare

    prepare.BATCH_CHARACTERS = BATCH


class Scenario(Protocol):
    is_command: bool
    """Whether only the command line does it, which has a sentence for each refusal of the operating system."""

    def prepare(self, place: Path) -> None:
        """Fill the folder before the fault."""

    def act(self, place: Path, ack: Ack) -> None:
        """Do the work, also again after a failure. It acknowledges what the command or service says is done."""

    def check(self, place: Path, acknowledged: list[str], done: bool) -> Iterator[str]:
        """What is wrong after the fault; may change the folder. done: everything was acknowledged."""


SCENARIOS: dict[str, Scenario] = {
    "index": Indexing({}, OLD),
    "update": Indexing(OLD, NEW),
    "compact": Compacting(),
    "repair": Repairing(),
    "search": Searching(),
    "backup": BackingUp(),
    "restore": Restoring(),
    "upload": Uploading(),
    "delete": Deleting(),
    "corpora": Corpora(),
    "service": ServiceFacts(),
}
