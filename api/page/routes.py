"""The page for people at `/`: static files, which ask the public API as any client does."""

import hashlib
from dataclasses import dataclass
from functools import cache
from http import HTTPStatus
from pathlib import Path

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.responses import JSONResponse, RedirectResponse
from starlette.exceptions import HTTPException

from api.settings import Settings
from model.drawing.phantom import Lesion, draw_phantom, draw_test_chart
from model.drawing.png import encode_png

PATH = "/"
FILE_PATH = "/page/{name}"
_FOLDER = Path(__file__).parent
_MEDIA_TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript"}
# Nothing may be loaded from, or sent to, anywhere but this service. `blob:` is for pictures in its responses, `data:`
# for the icon in the page itself.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"
)
_EXAMPLE_PIXELS = 384
_EXAMPLES = {
    "mass": lambda: draw_phantom(_EXAMPLE_PIXELS, Lesion(x=0.72, y=0.62, radius=0.07)),
    "ring": lambda: draw_phantom(_EXAMPLE_PIXELS, Lesion(x=0.64, y=0.4, radius=0.085, hollow=True)),
    "no-mass": lambda: draw_phantom(_EXAMPLE_PIXELS, seed=2),
    "no-scan": lambda: draw_test_chart(_EXAMPLE_PIXELS),
}

router = APIRouter(include_in_schema=False)


@dataclass(frozen=True)
class StaticFile:
    """A file that browsers keep, and ask whether it has changed."""

    content: bytes
    headers: dict[str, str]

    @classmethod
    def of(cls, content: bytes, suffix: str) -> "StaticFile":
        """Describe content by its hash and media type."""
        headers = {
            "Content-Type": f"{_MEDIA_TYPES[suffix]}; charset=utf-8",
            "ETag": f'"{hashlib.sha256(content).hexdigest()[:32]}"',
            "Cache-Control": "no-cache",  # may be kept, but is asked for: a new version is seen at once
        }
        return cls(content, headers | {"Content-Security-Policy": _POLICY} if suffix == ".html" else headers)

    def matches(self, tags: str) -> bool:
        """Return whether an `If-None-Match` header names this content; RFC 9110, section 13.1.2."""
        known = {tag.strip().removeprefix("W/") for tag in tags.split(",")}
        return bool(known & {self.headers["ETag"], "*"})


@router.get(PATH)
@router.get(FILE_PATH)
async def show_file(request: Request, name: str = PATH) -> Response:
    """Send a file, or 304 to a browser that has it."""
    file: StaticFile | None = request.app.state.page.get(name)
    if file is None:
        raise HTTPException(HTTPStatus.NOT_FOUND)
    if file.matches(request.headers.get("If-None-Match", "")):
        return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=file.headers)
    return Response(file.content, headers=file.headers)


@router.get("/page/examples/{name}.png")
def show_example(name: str) -> Response:
    """Show one of the drawings that the page offers to try; in a thread, for it takes a while to draw."""
    if name not in _EXAMPLES:
        raise HTTPException(HTTPStatus.NOT_FOUND)
    return Response(_draw_example(name), media_type="image/png")


@router.get("/demo")
async def lead_home() -> Response:
    """Lead to the page from where it used to be."""
    return RedirectResponse("./")  # relative: a reverse proxy may serve us below a path of its own


def add_page(app: FastAPI, settings: Settings) -> None:
    """Serve the page; where it is switched off, `/` leads to the documentation, or lists the paths there are."""
    if settings.page:
        app.state.page = _read_files(settings)
        app.include_router(router)
    elif settings.docs:
        app.add_api_route(PATH, _lead_to_docs, include_in_schema=False)
    else:
        app.add_api_route(PATH, _list_paths, include_in_schema=False)


def _read_files(settings: Settings) -> dict[str, StaticFile]:
    """Read all files by name; the page itself says whether a key is needed and whether there is documentation."""
    contents = {path: path.read_bytes() for path in _FOLDER.iterdir() if path.suffix in _MEDIA_TYPES}
    files = {path.name: StaticFile.of(content, path.suffix) for path, content in contents.items()}
    classes = " ".join(name for name, given in (("keys", settings.has_keys), ("docs", settings.docs)) if given)
    page = files.pop("index.html").content.replace(b"<body>", f'<body class="{classes}">'.encode())
    return {**files, PATH: StaticFile.of(page, ".html")}


@cache
def _draw_example(name: str) -> bytes:
    return encode_png(_EXAMPLES[name]())


async def _lead_to_docs() -> Response:
    return RedirectResponse("docs")


async def _list_paths(request: Request) -> Response:
    paths = request.app.openapi()["paths"]
    return JSONResponse({"title": request.app.title, "paths": {path: list(methods) for path, methods in paths.items()}})
