"""What is written to a connection: the image as a form's field, as `curl -F` and browsers send it, or in JSON."""

import base64

from tests.benchmark.pictures import Picture
from tests.soak.request import post_form, post_json


def form_request(path: str, picture: Picture) -> bytes:
    """Write a request with the image in the form field `file`."""
    return b"".join(post_form(path, picture.data, "").pieces)


def json_request(path: str, picture: Picture) -> bytes:
    """Write a request with the image as base64 in the field `image`."""
    return b"".join(post_json(path, {"image": base64.b64encode(picture.data).decode()}, "").pieces)
