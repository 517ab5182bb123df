"""Manifests for Kubernetes and KServe: held to their schemas, and run as they say."""

from __future__ import annotations

import gzip
import math
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import joblib
import jsonschema
import kubernetes_validate
import pytest
import yaml
from click.testing import CliRunner, Result
from sklearn.linear_model import LogisticRegression

from model_store import ModelStore
from quart_app.cli.deployment import Deployment
from quart_app.cli.main import cli
from quart_app.cli.manifests import MIB, Memory, require_image, require_name, tagged
from quart_app.server.options import Shutdown

from ...containers import container

pytestmark = pytest.mark.process

GUIDE = (Path(__file__).parents[3] / "docs/kubernetes.md").read_text()


def deploy(platform: str, store: Path, to: Path, *arguments: str) -> Result:
    return CliRunner().invoke(
        cli,
        ["deploy", platform, "--store", str(store), "--dir", str(to), *arguments],
        catch_exceptions=False,
    )


def documents(folder: Path) -> dict[str, Any]:
    """The resources in the folder of the manifests, by their kinds."""
    found = [yaml.safe_load(path.read_text()) for path in (folder / "kubernetes").iterdir()]
    return {document["kind"]: document for document in found}


@pytest.fixture(scope="module")
def store(bundled_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with the exam alone."""
    root = tmp_path_factory.mktemp("exam")
    shutil.copytree(bundled_root / "exam", root / "exam")
    return root


@pytest.fixture(scope="module")
def kubernetes(store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What was deployed for Kubernetes."""
    folder = tmp_path_factory.mktemp("kubernetes") / "app"
    assert deploy("kubernetes", store, folder).exit_code == 0
    return folder


@pytest.fixture(scope="module")
def kserve(store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What was deployed for KServe, without a model."""
    folder = tmp_path_factory.mktemp("kserve") / "app"
    assert deploy("kserve", store, folder, "--name", "churn-risk").exit_code == 0
    return folder


# What they say --------------------------------------------------------------------------


def test_every_manifest_is_one_of_kubernetes(kubernetes: Path) -> None:
    found = documents(kubernetes)
    assert sorted(found) == [
        "Deployment",
        "HorizontalPodAutoscaler",
        "NetworkPolicy",
        "PodDisruptionBudget",
        "Service",
    ]
    for document in found.values():
        kubernetes_validate.validate(document, kubernetes_validate.latest_version(), strict=True)
        kubernetes_validate.validate(document, "1.30", strict=True)


def test_they_are_of_one_another(kubernetes: Path) -> None:
    found = documents(kubernetes)
    labels = found["Deployment"]["spec"]["template"]["metadata"]["labels"]
    assert found["Deployment"]["spec"]["selector"]["matchLabels"].items() <= labels.items()
    assert found["Service"]["spec"]["selector"].items() <= labels.items()
    assert found["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"].items() <= labels.items()
    assert found["NetworkPolicy"]["spec"]["podSelector"]["matchLabels"].items() <= labels.items()
    target = found["HorizontalPodAutoscaler"]["spec"]["scaleTargetRef"]
    assert (target["kind"], target["name"]) == ("Deployment", "quart-app")
    pod = found["Deployment"]["spec"]["template"]["spec"]["containers"][0]
    names = {port["name"]: port["containerPort"] for port in pod["ports"]}
    assert found["Service"]["spec"]["ports"][0]["targetPort"] in names
    [allowed] = found["NetworkPolicy"]["spec"]["ingress"][0]["ports"]
    assert allowed["port"] == names["http"]


def test_the_platform_waits_longer_than_the_server_takes(kubernetes: Path) -> None:
    pod = documents(kubernetes)["Deployment"]["spec"]["template"]["spec"]
    variables = {each["name"]: each["value"] for each in pod["containers"][0]["env"]}
    delay = float(variables["QUART_APP_SHUTDOWN_DELAY"])
    assert pod["terminationGracePeriodSeconds"] > Shutdown.within(delay, 20.5).watchdog


def test_of_kserve_the_platform_waits_long_enough_by_default(kserve: Path) -> None:
    [spec] = documents(kserve)["ServingRuntime"]["spec"]["containers"]
    variables = {each["name"]: each["value"] for each in spec["env"]}
    delay = float(variables["QUART_APP_SHUTDOWN_DELAY"])
    assert Shutdown.within(delay, 20.5).watchdog < 30


def test_the_server_is_kept_within_its_limit(kubernetes: Path, kserve: Path) -> None:
    pods = (
        documents(kubernetes)["Deployment"]["spec"]["template"]["spec"]["containers"],
        documents(kserve)["ServingRuntime"]["spec"]["containers"],
    )
    for [pod] in pods:
        limit = int(pod["resources"]["limits"]["memory"].removesuffix("Mi"))
        requested = int(pod["resources"]["requests"]["memory"].removesuffix("Mi"))
        assert requested <= limit
        assert pod["args"][pod["args"].index("--max-memory") + 1] == f"{int(0.9 * limit)}M"


@pytest.mark.parametrize(
    ("resident", "limit", "beside", "requested", "most"),
    [
        (60 * MIB, None, 0, 128, 256),
        (300 * MIB, None, 0, 384, 768),
        (300 * MIB, 400 * MIB, 0, 384, 400),
        (500 * MIB, 400 * MIB, 0, 400, 400),
        (60 * MIB, 1024 * MIB, 320 * MIB, 448, 1024),
        (None, None, 0, 512, 512),
    ],
)
def test_the_memory_follows_from_the_forecast(
    resident: int | None, limit: int | None, beside: int, requested: int, most: int
) -> None:
    found = Memory.forecast(resident, limit, beside=beside)
    assert (found.requested, found.limit) == (requested * MIB, most * MIB)


def test_an_image_without_a_tag_gets_that_of_its_content(store: Path, tmp_path: Path) -> None:
    assert tagged("quart-app", "1") == "quart-app:1"
    assert tagged("localhost:5000/quart-app", "1") == "localhost:5000/quart-app:1"
    assert tagged("localhost:5000/quart-app:2", "1") == "localhost:5000/quart-app:2"
    assert tagged("quart-app@sha256:0", "1") == "quart-app@sha256:0"

    digests: list[str] = []

    def beside(built: Path, digest: str) -> dict[str, str]:
        digests.append(digest[:12])
        return {}

    for place, tour in (("first", False), ("same", False), ("other", True)):
        deployment = Deployment.of("kubernetes", ModelStore(store), tour=tour)
        deployment.write(tmp_path / place, beside=beside)
    assert digests[0] == digests[1] != digests[2]


@pytest.mark.parametrize("name", ["Exam", "1exam", "a" * 64, "exam-", "exam\n", ""])
def test_a_name_that_is_none_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="lower-case"):
        require_name(name)


@pytest.mark.parametrize("image", ["", 'a"b', "a b", "-a", "a\n"])
def test_an_image_that_is_none_is_refused(image: str) -> None:
    with pytest.raises(ValueError, match="an image"):
        require_image(image)


def test_a_service_of_kserve_has_one_model(store: Path, tmp_path: Path) -> None:
    ended = deploy("kserve", store, tmp_path / "out", "--model", "exam", "--model", "iris")
    assert ended.exit_code == 2
    ended = deploy("kserve", store, tmp_path / "out", "--model", "ex_am")
    assert ended.exit_code == 2
    assert "--name" in ended.output
    assert not (tmp_path / "out").exists()


# KServe ---------------------------------------------------------------------------------

schemas = pytest.mark.skipif(
    "REAL_DATA" not in os.environ, reason="REAL_DATA names no folder with the schemas of KServe"
)


def schema(kind: str, version: str) -> Any:
    """The schema of a resource of KServe, which then takes nothing beside what it names."""
    folder = Path(os.environ["REAL_DATA"], "schemas")
    [path] = folder.glob(f"serving.kserve.io_{kind}.yaml*")
    text = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    versions = yaml.load(text, loader)["spec"]["versions"]
    [found] = [each["schema"]["openAPIV3Schema"] for each in versions if each["name"] == version]
    found["properties"]["metadata"] = {"type": "object"}
    return closed(found)


def closed(node: Any) -> Any:
    """The same as JSON Schema has it."""
    if isinstance(node, list):
        return [closed(each) for each in node]
    if not isinstance(node, dict):
        return node
    if node.get("x-kubernetes-int-or-string"):
        return {"type": ["integer", "string"]}
    made = {key: closed(value) for key, value in node.items() if not key.startswith("x-")}
    is_open = node.get("x-kubernetes-preserve-unknown-fields")
    if isinstance(node.get("properties"), dict) and not is_open:
        made.setdefault("additionalProperties", False)
    return made


@schemas
def test_the_runtime_and_the_service_are_those_of_kserve(kserve: Path) -> None:
    found = documents(kserve)
    assert sorted(found) == ["InferenceService", "ServingRuntime"]
    jsonschema.validate(found["ServingRuntime"], schema("servingruntimes", "v1alpha1"))
    jsonschema.validate(found["InferenceService"], schema("inferenceservices", "v1beta1"))
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(
            {**found["InferenceService"], "spec": {"predictor": {"madel": {}}}},
            schema("inferenceservices", "v1beta1"),
        )


def test_the_service_uses_the_runtime(kserve: Path) -> None:
    found = documents(kserve)
    runtime, service = found["ServingRuntime"], found["InferenceService"]
    model = service["spec"]["predictor"]["model"]
    formats = {each["name"] for each in runtime["spec"]["supportedModelFormats"]}
    assert service["metadata"]["name"] == "churn-risk"
    assert model["runtime"] == runtime["metadata"]["name"]
    assert model["modelFormat"]["name"] in formats
    assert model["protocolVersion"] in runtime["spec"]["protocolVersions"] == ["v1", "v2"]
    assert model["storageUri"] == "pvc://models/churn-risk"


def test_the_image_for_kserve_can_import(kserve: Path) -> None:
    requirements = (kserve / "requirements.txt").read_text()
    assert not (kserve / "models").exists()
    for name in ("scikit-learn", "pyyaml", "pandas"):
        assert re.search(rf"^{name}==", requirements, re.MULTILINE), name


# Running --------------------------------------------------------------------------------


def test_the_container_runs_as_the_manifest_says(kubernetes: Path, tmp_path: Path) -> None:
    pod = documents(kubernetes)["Deployment"]["spec"]["template"]["spec"]
    [spec] = pod["containers"]
    with container(spec, image(kubernetes, tmp_path), pod["volumes"]) as running:
        running.wait_for("startupProbe")
        assert running.passes("livenessProbe")
        running.wait_for("readinessProbe")
        status = Path(f"/proc/{running.process.pid}/status").read_text()
        assert re.search(r"^Uid:\t10001\t10001\t10001\t10001$", status, re.MULTILINE)
        assert re.search(r"^CapEff:\t0+$", status, re.MULTILINE)
        row = {"instances": [{"X1": 61.1, "X2": 17.3}]}
        assert running.ask("/v1/models/exam:predict", row)[0] == 200
        begun = time.monotonic()
        assert running.end(pod["terminationGracePeriodSeconds"]) == 0
        assert time.monotonic() - begun > 4, "it takes no connections while nodes send them"


@pytest.fixture(params=["version", "bare", "faulty"])
def mount(request: pytest.FixtureRequest, store: Path, tmp_path: Path) -> Path:
    """What KServe mounts."""
    folder = tmp_path / "mount"
    if request.param == "version":
        shutil.copytree(store / "exam/1", folder)
    else:
        folder.mkdir()
        names = ["model.joblib"] if request.param == "bare" else ["a.joblib", "b.joblib"]
        for name in names:
            X = [[61.1, 17.3], [30.0, 20.0], [80.0, 90.0], [40.0, 50.0]] * 10
            joblib.dump(LogisticRegression().fit(X, [0, 0, 1, 1] * 10), folder / name)
        rows = "".join("61.1,17.3\n30,20\n80.5,90.5\n40,50\n" for _ in range(10))
        (folder / "sample.csv").write_text(f"X1,X2\n{rows}")
    return folder


def test_the_container_of_kserve_serves_what_is_mounted(
    mount: Path, kserve: Path, tmp_path: Path
) -> None:
    runtime = documents(kserve)["ServingRuntime"]["spec"]
    [spec] = runtime["containers"]
    arguments = [argument.replace("{{.Name}}", "churn-risk") for argument in spec["args"]]
    spec = {**spec, "args": arguments}
    folder = image(kserve, tmp_path)
    with container(spec, folder, runtime["volumes"], models=mount) as running:
        running.wait_for("livenessProbe")
        if (mount / "b.joblib").exists():
            while (found := running.ask("/health/ready")[1]["models"]["churn-risk"]) and (
                found["state"] != "failed"
            ):
                time.sleep(0.2)
            assert "holds several models" in found["reason"]
            assert running.passes("livenessProbe")
        else:
            running.wait_for("readinessProbe")
            row = {"instances": [{"X1": 61.1, "X2": 17.3}]}
            assert running.ask("/v1/models/churn-risk:predict", row)[0] == 200
            tensors = [
                {"name": name, "datatype": "FP64", "shape": [1], "data": [50.0]}
                for name in ("X1", "X2")
            ]
            answer = running.ask("/v2/models/churn-risk/infer", {"inputs": tensors})
            assert answer[1]["model_name"] == "churn-risk"
        assert running.end(30) == 0


def image(folder: Path, scratch: Path) -> Path:
    """A copy of a folder that every user can read, as the Dockerfile makes it."""
    path = scratch / "image"
    shutil.copytree(folder, path)
    subprocess.run(["chmod", "-R", "a+rX", str(path)], check=True)
    return path


# The guide ------------------------------------------------------------------------------


def test_the_examples_of_the_guide_hold(store: Path, tmp_path: Path) -> None:
    shutil.copytree(store, tmp_path / "instance/models")
    for block in re.findall(r"^```console\n(.*?)^```$", GUIDE, re.MULTILINE | re.DOTALL):
        command, _, output = block.removeprefix("$ ").partition("\n")
        ran = subprocess.run(
            ["bash", "-c", command.replace("quart-app", f"{sys.executable} -m quart_app", 1)],
            cwd=tmp_path,
            env={"PYTHONPATH": str(Path(__file__).parents[3])},
            capture_output=True,
            text=True,
        )
        pattern = ".*?".join(re.escape(part) for part in output.strip().split("..."))
        assert re.fullmatch(pattern, ran.stdout.strip(), re.DOTALL), ran


def test_the_guide_lists_the_manifests(kubernetes: Path) -> None:
    listed = set(re.findall(r"^\| `([a-z-]+\.yaml)` \|", GUIDE, re.MULTILINE))
    assert listed == {path.name for path in (kubernetes / "kubernetes").iterdir()}


def test_the_guide_says_when_another_pod_comes(kubernetes: Path) -> None:
    found = documents(kubernetes)
    pod = found["Deployment"]["spec"]["template"]["spec"]["containers"][0]
    cpu = int(pod["resources"]["requests"]["cpu"].removesuffix("m")) / 1000
    target = found["HorizontalPodAutoscaler"]["spec"]["metrics"][0]["resource"]["target"]
    share = target["averageUtilization"] / 100 * cpu
    assert math.isclose(share, 0.6)
    assert f"{share:g} of a processor" in GUIDE
