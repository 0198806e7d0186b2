import inspect

import pytest

from api import exceptions as api_errors
from api.errors import KINDS
from model import errors as model_errors
from tests.api.problems import check_problem


def _leaves(base, module):
    classes = [item for _, item in inspect.getmembers(module, inspect.isclass) if issubclass(item, base)]
    return [item for item in classes if not any(other is not item and issubclass(other, item) for other in classes)]


@pytest.mark.parametrize(
    "error", _leaves(model_errors.InputError, model_errors) + _leaves(api_errors.ApiError, api_errors)
)
def test_every_error_that_a_sender_can_cause_has_a_status(error):
    assert error in KINDS


def test_codes_are_unique_up_to_their_status():
    codes = [kind.code for kind in KINDS.values()]
    assert len(set(codes)) == len(codes)


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nothing", 404, "not_found"),
        ("GET", "/predict", 405, "method_not_allowed"),
        ("PUT", "/livez", 405, "method_not_allowed"),
    ],
)
def test_what_the_framework_refuses_is_a_problem_too(client, method, path, status, code):
    response = client.request(method, path)
    check_problem(response, status, code)
    if status == 405:
        assert response.headers["allow"]


def test_no_answer_and_no_log_line_holds_the_file_name(client, caplog):
    caplog.set_level("DEBUG")
    response = client.post("/predict", files={"file": ("Jane Doe 1970.png", b"broken", "image/png")})
    assert "Jane" not in response.text
    assert "Jane" not in "".join(
        record.getMessage() for record in caplog.records if record.name.startswith(("api", "model"))
    )
