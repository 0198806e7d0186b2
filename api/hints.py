"""Hints for a request that no route takes: the method or path it probably meant."""

from difflib import get_close_matches
from functools import lru_cache

from fastapi import FastAPI, Request

_IMAGES = " Images go to POST /predict."
_MAX_PATH = 256  # characters; a longer one is close to none of ours, and comparing 60,000 takes 3 ms


def describe_mismatch(request: Request, allowed: str | None) -> str:
    """Say what would have been right.

    Args:
        allowed: The methods that the path takes; None if there is no such path.
    """
    path, images = request.url.path, _IMAGES if request.method == "POST" else ""
    if allowed is not None:
        return f"{request.method} {path}: expected {allowed}.{images}"
    operations = _list_operations(request.app)
    asked = path.removeprefix(request.scope.get("root_path", ""))
    if len(asked) <= _MAX_PATH and (near := get_close_matches(asked, operations, n=1)):
        return f"{request.method} {path}: there is no such path; the closest one is {operations[near[0]]} {near[0]}."
    return f"{request.method} {path}: there is no such path.{images}"


@lru_cache(maxsize=1)  # writing the document for each request that is refused would cost a flood too little
def _list_operations(app: FastAPI) -> dict[str, str]:
    """List the methods of each documented path."""
    return {path: ", ".join(methods).upper() for path, methods in app.openapi()["paths"].items()}
