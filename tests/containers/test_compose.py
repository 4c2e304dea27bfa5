"""The services of compose.yaml fit together, and are this machine's only."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import forked
import pytest
import yaml

from reference_broker.net.config import load_settings
from reference_broker.observe.config import ObservedConfig


@pytest.fixture(scope="module")
def project() -> Any:
    return yaml.safe_load((forked.REPOSITORY / "compose.yaml").read_text(encoding="utf-8"))


def test_every_port_is_published_to_this_machine_only(project: Any) -> None:
    ports = {name: service["ports"] for name, service in project["services"].items()}
    assert set(ports) == {"broker", "metrics", "site"}
    assert all(port.startswith("127.0.0.1:") for mapped in ports.values() for port in mapped)


def test_the_broker_does_not_start_without_a_password(project: Any) -> None:
    environment = project["services"]["broker"]["environment"]
    assert environment["MQTT_INTEROP_PASSWORD"].startswith("${MQTT_INTEROP_PASSWORD:?")


def test_what_a_service_names_is_there(project: Any) -> None:
    for service in project["services"].values():
        assert {each["source"] for each in service.get("configs", ())} <= set(project["configs"])
        named = {volume.partition(":")[0] for volume in service["volumes"] if not volume.startswith("./")}
        assert named <= set(project["volumes"])
        assert set(service.get("depends_on", ())) <= set(project["services"])


def test_the_metrics_are_read_where_the_broker_shows_them(project: Any, tmp_path: Path) -> None:
    (tmp_path / "broker.toml").write_text(project["configs"]["broker"]["content"])
    config = ObservedConfig(**load_settings(tmp_path / "broker.toml", ObservedConfig))
    [job] = yaml.safe_load(project["configs"]["metrics"]["content"])["scrape_configs"]
    assert job["static_configs"] == [{"targets": [f"broker:{config.metrics_port}"]}]
    assert f"127.0.0.1:{config.metrics_port}/health" in project["services"]["broker"]["healthcheck"]["test"][-1]
