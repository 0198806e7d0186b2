"""Deployment files fit the schemas of their tools and agree with the service."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from api.main import create_app
from api.settings import Settings
from api.telemetry.metrics import Metrics
from api.version import VERSION

ROOT = Path(__file__).parents[2]
MANIFESTS = ROOT / "deploy" / "kubernetes"
KUBERNETES_VERSIONS = ("1.30", "1.37")
POD_LABELS = {"app.kubernetes.io/component": "api"}


def _load(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def _manifest(kind: str) -> Any:
    (found,) = (content for path in MANIFESTS.glob("*.yaml") if (content := _load(path))["kind"] == kind)
    return found


@pytest.fixture(scope="module")
def compose() -> Any:
    return _load(ROOT / "compose.yaml")


@pytest.fixture(scope="module")
def pod() -> Any:
    return _manifest("Deployment")["spec"]["template"]


@pytest.mark.parametrize(
    ("schema", "path"),
    [
        ("compose-spec", "compose.yaml"),
        ("github-workflows", ".github/workflows/ci.yaml"),
        ("dependabot", ".github/dependabot.yml"),
        ("citation-file-format", "CITATION.cff"),
    ],
)
def test_a_file_is_as_its_reader_expects(schema, path):
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", f"vendor.{schema}", path]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_compose_publishes_api_and_mlflow_on_the_loopback_address(compose):
    ports = {name: service["ports"] for name, service in compose["services"].items()}
    assert (ports["api"], ports["mlflow"]) == (["127.0.0.1:8000:8000"], ["127.0.0.1:5000:5000"])
    assert all(port.startswith("127.0.0.1:") for each in ports.values() for port in each)
    assert any(volume.startswith("mlflow:") for volume in compose["services"]["mlflow"]["volumes"])
    monitoring = {name for name, service in compose["services"].items() if service.get("profiles") == ["monitoring"]}
    assert monitoring == {"prometheus", "grafana"}


def test_everything_that_compose_mounts_is_there(compose):
    mounted = [volume.split(":") for service in compose["services"].values() for volume in service.get("volumes", [])]
    assert all((ROOT / source).exists() or source in compose["volumes"] for source, *_ in mounted)
    (provider,) = _load(ROOT / "deploy/monitoring/grafana/dashboards/dashboards.yaml")["providers"]
    assert ["./examples/grafana", provider["options"]["path"], "ro"] in mounted


def test_compose_runs_the_mlflow_that_training_talks_to(compose):
    pinned = re.search(r"^mlflow-skinny==(.+)$", (ROOT / "requirements/tracking.txt").read_text(encoding="utf-8"), re.M)
    assert pinned is not None
    assert compose["services"]["mlflow"]["image"].endswith(f":v{pinned[1]}")


def test_the_image_and_the_changelog_have_the_version_of_the_code():
    assert f"\nARG VERSION={VERSION}\n" in (ROOT / "Dockerfile").read_text(encoding="utf-8")
    newest = re.search(r"^## \[(.+?)\]", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.M)
    assert newest is not None
    assert newest[1] == VERSION


def test_the_workflow_pins_every_action_by_its_commit_and_names_the_release():
    actions = re.findall(r"uses: (.+)", (ROOT / ".github/workflows/ci.yaml").read_text(encoding="utf-8"))
    assert actions
    assert all(re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", action) for action in actions), actions


def test_settings_that_are_deployed_exist(compose, pod):
    names = {entry["name"] for entry in pod["spec"]["containers"][0]["env"]}
    names |= set(compose["services"]["api"]["environment"])
    assert {name.removeprefix("BRAIN_MRI_").lower() for name in names} <= set(Settings.model_fields)


def test_alerts_are_about_metrics_that_the_service_shows():
    shown = set(re.findall(r"^# TYPE (\w+)", Metrics().render().decode(), re.M)) | {"up"}
    rules = [rule for group in _load(ROOT / "deploy/monitoring/alerts.yaml")["groups"] for rule in group["rules"]]
    for rule in rules:
        named = set(re.findall(r"\b((?:brain_mri|http)_\w+|up)\b", rule["expr"]))
        assert named, rule["alert"]
        assert {re.sub(r"_(bucket|count|sum)$", "", name) for name in named} <= shown, rule["alert"]


@pytest.mark.parametrize("path", sorted(MANIFESTS.glob("[!k]*.yaml")), ids=lambda path: path.stem)
@pytest.mark.parametrize("version", KUBERNETES_VERSIONS)
def test_a_manifest_is_what_the_api_server_expects(path, version):
    kubernetes_validate.validate(_load(path), version, strict=True)


def test_a_manifest_that_is_wrong_is_found():
    wrong = _manifest("Service")
    wrong["spec"]["port"] = 80
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, KUBERNETES_VERSIONS[-1], strict=True)


def test_kustomize_takes_every_manifest():
    resources = _load(MANIFESTS / "kustomization.yaml")["resources"]
    assert sorted(resources) == sorted(path.name for path in MANIFESTS.glob("*.yaml") if path.stem != "kustomization")


def test_everything_selects_the_pods(pod):
    assert POD_LABELS.items() <= pod["metadata"]["labels"].items()
    assert _manifest("Deployment")["spec"]["selector"]["matchLabels"] == POD_LABELS
    assert _manifest("Service")["spec"]["selector"] == POD_LABELS
    assert _manifest("PodDisruptionBudget")["spec"]["selector"]["matchLabels"] == POD_LABELS
    assert _manifest("NetworkPolicy")["spec"]["podSelector"]["matchLabels"] == POD_LABELS
    target = _manifest("HorizontalPodAutoscaler")["spec"]["scaleTargetRef"]
    assert (target["kind"], target["name"]) == ("Deployment", _manifest("Deployment")["metadata"]["name"])


def test_probes_ask_what_is_served(pod):
    (container,) = pod["spec"]["containers"]
    routes = create_app(Settings(model_path=Path("unused.onnx"))).openapi()["paths"]
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert container[probe]["httpGet"]["path"] in routes
        assert container[probe]["httpGet"]["port"] == container["ports"][0]["name"]
    assert _manifest("Service")["spec"]["ports"][0]["targetPort"] == container["ports"][0]["name"]


def test_pods_keep_the_restricted_standard(pod):
    """https://kubernetes.io/docs/concepts/security/pod-security-standards/ and beyond it a root that is read only."""
    (container,) = pod["spec"]["containers"]
    assert pod["spec"]["securityContext"]["runAsNonRoot"]
    assert pod["spec"]["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert {"requests", "limits"} <= container["resources"].keys()
    assert not pod["spec"]["automountServiceAccountToken"]
    assert _manifest("Namespace")["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"


def test_a_pod_has_time_to_answer_what_it_has_begun(pod):
    settings = Settings(model_path=Path("unused.onnx"))
    drain = next(float(e["value"]) for e in pod["spec"]["containers"][0]["env"] if e["name"].endswith("DRAIN_SECONDS"))
    assert pod["spec"]["terminationGracePeriodSeconds"] > drain + settings.request_timeout_seconds
