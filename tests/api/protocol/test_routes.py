import base64
import re
from collections.abc import Iterator

import httpx
import numpy as np
import pytest
import tritonclient.http as triton
import yaml
from PIL import Image
from pydantic import SecretStr
from starlette.testclient import TestClient
from tritonclient.utils import InferenceServerException

from api.exceptions import DeadlinePassedError, QueueFullError
from api.main import create_app
from tests.samples.dicoms import make_dicom
from tests.samples.phantoms import CLASSES, draw_scan, encode
from tests.service.server import ROOT, running_server
from tests.service.triton import INFER, ask_binary, ask_json, read_outputs

KEY = "key-of-the-tests-0123456789"
SCANS = [encode(draw_scan(80, (0.4, 0.5), 1), "JPEG"), make_dicom(draw_scan(120, (0.6, 0.5), 2)[:, :, 0])]
MANIFEST = ROOT / "examples" / "kserve" / "inference-service.yaml"


def predict(client, scans=SCANS) -> np.ndarray:
    """The probabilities of /predict, (N, K)."""
    answers = [client.post("/predict", content=data).json() for data in scans]
    return np.array([[answer["probabilities"][name] for name in CLASSES] for answer in answers])


# ---------------------------------------------------------------- Triton's own client, against the real server


@pytest.fixture(scope="module")
def port(calibrated_pair) -> Iterator[int]:
    with running_server(MODEL_PATH=calibrated_pair[1], THREADS=1, MAX_BATCH=3) as (_, port):
        yield port


@pytest.fixture
def client_of_triton(port) -> Iterator[triton.InferenceServerClient]:
    with triton.InferenceServerClient(f"127.0.0.1:{port}") as client:
        yield client


@pytest.fixture(scope="module")
def expected(port) -> np.ndarray:
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:
        return predict(client)


def tensor(name: str, array: np.ndarray, datatype: str, *, binary: bool) -> triton.InferInput:
    return triton.InferInput(name, list(array.shape), datatype).set_data_from_numpy(array, binary_data=binary)


def images(*, binary: bool) -> triton.InferInput:
    data = SCANS if binary else [base64.b64encode(scan) for scan in SCANS]
    return tensor("image", np.array(data, np.object_), "BYTES", binary=binary)


def test_triton_finds_server_and_model(client_of_triton):
    assert client_of_triton.is_server_live()
    assert client_of_triton.is_server_ready()
    assert client_of_triton.is_model_ready("tiny")
    assert client_of_triton.is_model_ready("tiny", "0.0.1")
    assert not client_of_triton.is_model_ready("unicorn")
    assert not client_of_triton.is_model_ready("tiny", "1")
    metadata = client_of_triton.get_server_metadata()
    assert metadata["extensions"] == ["binary_tensor_data"]
    assert metadata["name"] == "brain-tumor-mri"


@pytest.mark.parametrize("version", ["", "0.0.1"])
def test_triton_learns_the_tensors(client_of_triton, version):
    assert client_of_triton.get_model_metadata("tiny", version) == {
        "name": "tiny",
        "versions": ["0.0.1"],
        "platform": "onnx_onnxv1",
        "inputs": [{"name": "image", "datatype": "BYTES", "shape": [-1]}],
        "outputs": [
            {"name": "probabilities", "datatype": "FP32", "shape": [-1, 3]},
            {"name": "logits", "datatype": "FP32", "shape": [-1, 3]},
            {"name": "cam", "datatype": "FP32", "shape": [-1, -1, -1]},
        ],
    }


@pytest.mark.parametrize("binary_output", [True, False, None], ids=["binary-out", "json-out", "default-out"])
@pytest.mark.parametrize("binary", [True, False], ids=["binary-in", "json-in"])
def test_triton_gets_what_predict_says(client_of_triton, expected, binary, binary_output):
    names = ("probabilities", "logits") if binary_output is None else ("cam", "probabilities", "logits")
    outputs = None
    if binary_output is not None:
        outputs = [triton.InferRequestedOutput(name, binary_data=binary_output) for name in names]
    result = client_of_triton.infer(
        "tiny", [images(binary=binary)], "0.0.1", outputs, request_id="a 7", parameters={"ours": "x"}
    )

    found = result.get_response()
    assert (found["id"], found["model_name"], found["model_version"]) == ("a 7", "tiny", "0.0.1")
    assert [output["name"] for output in found["outputs"]] == list(names)
    np.testing.assert_allclose(result.as_numpy("probabilities"), expected, rtol=0, atol=1e-5)
    assert result.as_numpy("logits").shape == (2, 3)
    if "cam" in names:
        maps = result.as_numpy("cam")
        assert maps.shape[0] == 2
        assert 0 <= maps.min() <= maps.max() <= 1
        assert maps.max() > 0


@pytest.mark.parametrize(
    ("name", "array", "datatype", "message"),
    [
        ("inputs", np.zeros((1, 3, 64, 64), np.float32), "FP32", r"inputs\.0\.name: Input should be 'image'\."),
        ("image", np.zeros(1, np.float32), "FP32", r"inputs\.0\.datatype: Input should be 'BYTES'\."),
        ("image", np.array([[b"text"] * 2], np.object_), "BYTES", r"inputs\.0\.shape: .*expected \[N\] or \[N, 1\]"),
        ("image", np.array([b"text"] * 4, np.object_), "BYTES", r"Expected at most 3 images; found 4\."),
        ("image", np.array([b"text"], np.object_), "BYTES", r"Item 0: Expected an image in one of the formats"),
    ],
)
def test_triton_is_told_our_words(client_of_triton, name, array, datatype, message):
    with pytest.raises(InferenceServerException, match=message) as caught:
        client_of_triton.infer("tiny", [tensor(name, array, datatype, binary=True)])
    assert caught.value.status() in ("400", "415")


@pytest.mark.parametrize("binary", [True, False])
def test_a_column_of_images_is_a_row_of_them(client_of_triton, binary):
    row = images(binary=binary)
    column = images(binary=binary).set_shape([len(SCANS), 1])
    found, expected = (client_of_triton.infer("tiny", [each]).as_numpy("logits") for each in (column, row))
    np.testing.assert_array_equal(found, expected)


def test_triton_is_told_that_a_model_is_unknown(client_of_triton):
    for name, version in (("unicorn", ""), ("tiny", "9")):
        for call in (
            lambda name=name, version=version: client_of_triton.get_model_metadata(name, version),
            lambda name=name, version=version: client_of_triton.infer(name, [images(binary=True)], version),
        ):
            with pytest.raises(InferenceServerException, match=r"The model is not|There is no model") as caught:
                call()
            assert caught.value.status() == "404"


def test_triton_is_told_that_compression_is_not_read(client_of_triton):
    with pytest.raises(InferenceServerException, match="not compressed"):
        client_of_triton.infer("tiny", [images(binary=True)], request_compression_algorithm="gzip")


# ---------------------------------------------------------------- the protocol, message by message


def check_error(response, status: int, message: str = "") -> None:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/json"
    assert set(response.json()) == {"error"}
    assert message in response.json()["error"]
    assert "Traceback" not in response.text
    assert response.headers["x-request-id"]


def test_the_server_is_named_with_and_without_a_slash(client):
    assert client.get("/v2").json() == client.get("/v2/", follow_redirects=False).json()


def test_the_torch_engine_serves_it_too(settings, tiny_pair):
    with TestClient(create_app(settings.model_copy(update={"model_path": tiny_pair[0]}))) as client:
        outputs = read_outputs(client.post(INFER, **ask_binary(SCANS[0], outputs=[{"name": "probabilities"}])))
        np.testing.assert_allclose(outputs["probabilities"], predict(client, SCANS[:1]), rtol=0, atol=1e-5)
        assert client.get("/v2/models/tiny").json()["platform"] == "pytorch_checkpoint"


def test_an_answer_holds_what_was_asked_for_where_it_was_asked_for(calibrated_client):
    outputs = [{"name": "logits", "parameters": {"binary_data": True}}, {"name": "cam"}]
    response = calibrated_client.post(INFER, json=ask_json(SCANS[0], outputs=outputs))
    assert response.headers["content-type"] == "application/octet-stream"
    assert response.headers["cache-control"] == "no-store"
    assert set(read_outputs(response)) == {"logits", "cam"}
    assert "id" not in response.text


def test_temperature_turns_logits_into_probabilities(calibrated_client):
    temperature = calibrated_client.get("/model").json()["temperature"]
    assert temperature != 1
    tensors = read_outputs(calibrated_client.post(INFER, json=ask_json(SCANS[0])))
    powers = np.exp(tensors["logits"].astype(np.float64) / temperature)
    np.testing.assert_allclose(tensors["probabilities"], powers / powers.sum(), rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"", 415),
        (b"text", 415),
        (SCANS[0][: len(SCANS[0]) // 2], 422),
        (encode(Image.new("L", (8, 8), 1)), 422),
        (encode(Image.new("L", (64, 64), 1)), 422),
        (encode(Image.new("1", (30_000, 30_000))), 413),
    ],
)
def test_a_bad_image_gets_the_status_that_predict_gives(client, data, status):
    check_error(client.post(INFER, json=ask_json(data)), status, "Item 0: ")
    check_error(client.post(INFER, **ask_binary(SCANS[0], data)), status, "Item 1: ")
    assert client.post(INFER, json=ask_json(SCANS[0])).status_code == 200


def test_a_body_of_too_many_bytes_is_a_413(client):
    check_error(client.post(INFER, content=bytes(200_001)), 413)


def test_hostile_bodies_are_a_400_and_the_service_lives_on(client):
    for body in (b"", b"\xff", b"[" * 150_000, b'{"inputs":' * 15_000, b"null"):
        check_error(client.post(INFER, content=body), 400)
    assert client.get("/v2/health/ready").json() == {"live": True, "ready": True}


def test_each_image_counts_as_a_prediction(client):
    client.post(INFER, **ask_binary(*SCANS))
    text = client.get("/metrics").text
    assert sum(map(float, re.findall(r"^brain_mri_predictions_total{.*} (\S+)$", text, re.MULTILINE))) == 2
    assert 'path="/v2/models/{name}/infer",status="200"} 1.0' in text


def test_a_key_is_needed_where_predict_needs_one_and_probes_need_none(settings):
    app = create_app(settings.model_copy(update={"api_keys": SecretStr(KEY)}))
    with TestClient(app) as client:
        for path in ("/v2", "/v2/health/live", "/v2/health/ready", "/v2/models/tiny/ready"):
            assert client.get(path).status_code == 200
        check_error(client.get("/v2/models/tiny"), 401)
        check_error(client.post(INFER, json=ask_json(SCANS[0])), 401)
        assert client.post(INFER, json=ask_json(SCANS[0]), headers={"X-API-Key": KEY}).status_code == 200


@pytest.mark.parametrize(("error", "status"), [(QueueFullError("full"), 503), (DeadlinePassedError("late"), 504)])
def test_an_overloaded_service_says_so_in_the_protocols_form(client, monkeypatch, error, status):
    async def fail(_call, _watch):
        raise error

    monkeypatch.setattr(client.app.state.service.queue, "run", fail)
    check_error(client.post(INFER, json=ask_json(SCANS[0])), status, str(error))


def test_a_defect_says_nothing_of_itself(client, monkeypatch):
    def fail(*_, **__):
        raise ZeroDivisionError("secret")

    monkeypatch.setattr(client.app.state.service.classifier, "infer", fail)
    response = client.post(INFER, json=ask_json(SCANS[0]))
    check_error(response, 500)
    assert "secret" not in response.text


def test_a_service_that_stops_is_alive_and_not_ready(client):
    client.app.state.draining = True
    check_alive_and_not_ready(client)


def test_a_service_without_a_model_is_alive_and_not_ready(app):
    check_alive_and_not_ready(TestClient(app))


def check_alive_and_not_ready(client) -> None:
    assert client.get("/v2/health/live").json() == {"live": True}
    for path in ("/v2/health/ready", "/v2/models/tiny/ready", "/v2/models/tiny"):
        check_error(client.get(path), 503)
    check_error(client.post(INFER, json=ask_json(SCANS[0])), 503)


def test_unknown_paths_and_methods_are_told_in_the_protocols_form(client):
    check_error(client.get("/v2/nothing"), 404)
    check_error(client.get(INFER), 405)
    assert client.get("/v2nothing").headers["content-type"] == "application/problem+json"


# ---------------------------------------------------------------- KServe


def test_the_kserve_example_names_paths_and_a_port_that_are_there(client):
    manifest = yaml.safe_load(MANIFEST.read_text(encoding="utf-8"))
    assert (manifest["apiVersion"], manifest["kind"]) == ("serving.kserve.io/v1beta1", "InferenceService")
    (container,) = manifest["spec"]["predictor"]["containers"]
    assert container["name"] == "kserve-container"  # KServe looks for this one
    (port,) = container["ports"]
    assert f"EXPOSE {port['containerPort']}" in (ROOT / "Dockerfile").read_text(encoding="utf-8")
    environment = {variable["name"]: variable["value"] for variable in container["env"]}
    assert environment == {"PROTOCOL": "v2"}
    for probe in ("livenessProbe", "readinessProbe", "startupProbe"):
        assert container[probe]["httpGet"]["port"] == port["containerPort"]
        assert client.get(container[probe]["httpGet"]["path"]).status_code == 200
