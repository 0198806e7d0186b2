"""Hints for a request that no route takes: the method or path it probably meant."""

import re
from difflib import get_close_matches
from functools import lru_cache

from fastapi import FastAPI, Request

_IMAGES = " Images go to POST /predict."
_MAX_PATH = 256  # characters; a longer one is close to none of ours, and comparing 60,000 takes 3 ms
_PARAMETER = re.compile(r"\{\w+\}")


def describe_mismatch(request: Request, allowed: str | None) -> str:
    """Say what would have been right.

    Args:
        allowed: The methods that the path takes; None if there is no such path.
    """
    path, images = request.url.path, _IMAGES if request.method == "POST" else ""
    if allowed is not None:
        return f"{request.method} {path}: expected {allowed}.{images}"
    asked = path.removeprefix(request.scope.get("root_path", ""))
    if len(asked) <= _MAX_PATH and (near := _find_nearest(asked, _list_operations(request.app))):
        return f"{request.method} {path}: there is no such path; the closest one is {near}."
    return f"{request.method} {path}: there is no such path.{images}"


def _find_nearest(asked: str, operations: dict[str, str]) -> str | None:
    """Find the operation that a path with a slash too many or another small mistake meant."""
    tidy = "/" + "/".join(filter(None, asked.split("/")))
    for path, methods in operations.items():
        if re.fullmatch(_PARAMETER.sub("[^/]+", path), tidy):
            return f"{methods} {tidy}"
    return next((f"{operations[path]} {path}" for path in get_close_matches(asked, operations, n=1)), None)


@lru_cache(maxsize=1)  # writing the document for each request that is refused would cost a flood too little
def _list_operations(app: FastAPI) -> dict[str, str]:
    """List the methods of each documented path, and of the documentation."""
    documentation = {app.openapi_url: "GET", "/docs": "GET"} if app.openapi_url else {}
    return {**{path: ", ".join(all_).upper() for path, all_ in app.openapi()["paths"].items()}, **documentation}
