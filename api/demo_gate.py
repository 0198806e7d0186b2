"""What of Gradio can be reached: the page and the files that it loads."""

from http import HTTPStatus

from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

DEMO_PATH = "/demo"
_PAGE = ("/", "/theme.css")
_FILES = ("/assets/", "/static/")
# Gradio's page starts by scripts in itself and makes functions of texts. Nothing may be loaded from, or sent to,
# anywhere but this service.
_POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; font-src 'self' data:; manifest-src 'none'; object-src 'none'; base-uri 'self'; "
    "form-action 'none'; frame-ancestors 'none'"
)


class PageGate:
    """Lets through to Gradio what loads the page, and answers 404 to all else: uploads, events, files, monitoring."""

    path = f"{DEMO_PATH}/{{file}}"  # by which its requests are counted, whatever they are

    def __init__(self, app: ASGIApp) -> None:
        """Wrap Gradio's application."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request.

        Raises:
            HTTPException: If it is for anything but the page and its files; with status 404.
        """
        scope["route"] = self
        path = str(scope["path"]).removeprefix(DEMO_PATH)
        if scope["method"] not in ("GET", "HEAD") or not (path in _PAGE or path.startswith(_FILES)):
            raise HTTPException(HTTPStatus.NOT_FOUND)

        async def send_with_policy(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)["Content-Security-Policy"] = _POLICY
            await send(message)

        await self._app(_reduce(scope), receive, send_with_policy)


def _reduce(scope: Scope) -> Scope:
    """Leave out what Gradio would restore from a disk, and what lets it compress files while others wait.

    It writes into what it is given: a copy.
    """
    headers = [(name, value) for name, value in scope["headers"] if name != b"accept-encoding"]
    return {**scope, "query_string": b"", "headers": headers}
