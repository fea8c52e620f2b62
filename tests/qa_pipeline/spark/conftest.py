"""A Spark session on two cores of this machine, one for each test module; nothing of it is mocked."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkSession]:
    """Its Python workers see the hub cache `hub`, which is empty until a test puts a model there."""
    from pyspark.sql import SparkSession

    hub = tmp_path_factory.mktemp("hub")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(ROOT))
        patch.setenv("PYSPARK_PYTHON", sys.executable)
        patch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(hub))
        builder = SparkSession.builder.master("local[2]").appName("docqa tests")
        for name, value in {
            "spark.ui.enabled": "false",
            "spark.driver.host": "127.0.0.1",
            "spark.driver.bindAddress": "127.0.0.1",
            "spark.sql.shuffle.partitions": "2",
            "spark.driver.memory": "512m",
            "spark.log.level": "ERROR",
            "spark.sql.session.timeZone": "UTC",
            "spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",
            "spark.executorEnv.HF_HUB_CACHE": str(hub),
        }.items():
            builder = builder.config(name, value)
        made = builder.getOrCreate()
        yield made
        made.stop()
