"""The dashboard and the alert rules against the figures that there are."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import yaml
from prometheus_client.metrics_core import Metric

from app.gate import Gate
from app.metrics import Metrics, ServiceCollector
from app.service import Service
from app.settings import Settings
from nmt.inference import PoolStatus

ROOT = Path(__file__).parents[2]
DOCKER = ROOT / "docker"
DASHBOARD = json.loads((DOCKER / "grafana/dashboards/nmt.json").read_text("utf-8"))
RULES = yaml.safe_load((DOCKER / "alerts.yaml").read_text("utf-8"))["groups"][0]["rules"]
MANUAL = (ROOT / "docs/operations.md").read_text("utf-8")

OF_PROCESS = {"process_resident_memory_bytes", "process_cpu_seconds_total"}
"""Figures of prometheus_client's own that the dashboard uses."""
OF_PROMETHEUS = {"up": ["job"]}
ENDINGS = {"counter": ("_total",), "histogram": ("_bucket", "_count", "_sum"), "gauge": ("",)}


def families() -> list[Metric]:
    """All that the service shows, however little has happened."""
    engine = SimpleNamespace(status=lambda: PoolStatus(True, (), 0, 0, "cpu"), models=())
    service = SimpleNamespace(
        metrics=Metrics(),
        gate=Gate(),
        settings=Settings(),
        admission=SimpleNamespace(obstacles=tuple),
        models=SimpleNamespace(current=SimpleNamespace(engine=engine), reloads={"ok": 0, "failed": 0}),
    )
    return list(ServiceCollector(cast(Service, service)).collect())


def samples() -> dict[str, set[str]]:
    """The labels of each series, by its name; Prometheus adds those of the target."""
    found = {}
    for family in families():
        labels = {*cast(Any, family)._labelnames, "job", "instance"}
        for ending in ENDINGS[family.type]:
            found[family.name + ending] = labels | ({"le"} if ending == "_bucket" else set())
    found |= {name: {"job", "instance"} for name in OF_PROCESS}
    return found | {name: {*labels, "instance"} for name, labels in OF_PROMETHEUS.items()}


SERIES = samples()


def queries() -> Iterator[tuple[str, str]]:
    for panel in DASHBOARD["panels"]:
        for target in panel["targets"]:
            yield panel["title"], target["expr"]
    for rule in RULES:
        yield rule["alert"], rule["expr"]


def mistakes(query: str) -> list[str]:
    """Series and labels of a query that the service does not have."""
    bare = re.sub(r'"[^"]*"', '""', query)
    used = set(re.findall(r"\b(?:nmt|process)_\w+|\bup\b", bare))
    found = [f"no series {name}" for name in used - set(SERIES)]
    for name, matchers in re.findall(r"(\w+)\{([^}]*)\}", bare):
        for label in re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", matchers):
            if label not in SERIES.get(name, ()):
                found.append(f"{name} has no label {label}")
    known = set().union(*(SERIES.get(name, set()) for name in used)) if used else set()
    for group in re.findall(r"\bby\s*\(([^)]*)\)", bare):
        found += [f"no label {label} to group by" for label in re.findall(r"\w+", group) if label not in known]
    return found if used else [*found, "no series at all"]


@pytest.mark.parametrize(("name", "query"), list(queries()))
def test_queries_ask_for_what_there_is(name: str, query: str) -> None:
    assert mistakes(query) == []


@pytest.mark.parametrize(
    ("query", "mistake"),
    [
        ("rate(nmt_http_requests[5m])", "no series nmt_http_requests"),
        ('nmt_texts_total{flag="x"}', "nmt_texts_total has no label flag"),
        ("sum by (pair) (nmt_texts_total)", "no label pair to group by"),
        ("1 + 1", "no series at all"),
    ],
)
def test_a_mistake_in_a_query_is_seen(query: str, mistake: str) -> None:
    assert mistakes(query) == [mistake]


def test_every_figure_is_in_the_manual_with_its_labels_and_no_other() -> None:
    rows = re.findall(r"^\| `(nmt_\w+)` \| (\w+) \|([^|]*)\|", MANUAL, re.MULTILINE)
    documented = {name: (kind, set(re.findall(r"`(\w+)`", labels))) for name, kind, labels in rows}
    assert documented == {
        family.name + ("_total" if family.type == "counter" else ""): (family.type, set(cast(Any, family)._labelnames))
        for family in families()
    }


def test_names_keep_the_rules_of_prometheus() -> None:
    for family in families():
        assert re.fullmatch(r"nmt_[a-z_]+", family.name)
        assert family.documentation.endswith(".")
        if family.type == "histogram":
            assert family.name.endswith("_seconds")


def test_every_alert_says_what_it_is_about_and_the_manual_what_to_do() -> None:
    documented = set(re.findall(r"^\| `(Nmt\w+)` \|", MANUAL, re.MULTILINE))
    assert documented == {rule["alert"] for rule in RULES}
    for rule in RULES:
        assert rule["labels"]["severity"] in ("page", "ticket")
        assert rule["annotations"]["summary"]


def test_panels_do_not_lie_on_each_other() -> None:
    taken: dict[tuple[int, int], str] = {}
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        for x in range(place["x"], place["x"] + place["w"]):
            assert x < 24
            for y in range(place["y"], place["y"] + place["h"]):
                assert taken.setdefault((x, y), panel["title"]) == panel["title"]
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])


def test_what_compose_mounts_is_there() -> None:
    for path in DOCKER.glob("compose*.yaml"):
        for service in yaml.safe_load(path.read_text("utf-8"))["services"].values():
            for volume in service.get("volumes", ()):
                if volume.startswith("./"):
                    assert (ROOT / volume.partition(":")[0]).exists(), volume


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")
def test_promtool_finds_nothing_wrong(tmp_path: Path) -> None:
    for name in ("prometheus.yaml", "alerts.yaml"):
        shutil.copy(DOCKER / name, tmp_path)
    done = subprocess.run(
        ["promtool", "check", "config", tmp_path / "prometheus.yaml"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
