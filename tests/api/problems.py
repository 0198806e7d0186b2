"""The common parts of every response to an error."""

PROBLEM_FIELDS = {"type", "title", "status", "detail", "instance", "code", "request_id"}


def check_problem(response, status: int, code: str) -> None:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    problem = response.json()
    assert set(problem) == PROBLEM_FIELDS
    assert problem["status"] == status
    assert problem["code"] == code
    assert problem["type"] == f"urn:brain-tumor-mri:problem:{code}"
    assert problem["request_id"] == response.headers["x-request-id"]
    assert "Traceback" not in response.text
    assert "Error" not in response.text
