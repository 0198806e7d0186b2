"""The page itself, as Gradio is told to draw it; needs the packages of requirements-demo.txt."""

from collections.abc import Sequence
from pathlib import Path

import gradio as gr
from fastapi import FastAPI

from api.schemas import DISCLAIMER
from api.settings import Settings
from model.preprocessing import FORMATS

_TEMPLATES = Path(__file__).parent / "templates"
_TITLE = "Brain MRI slice classifier"
_FONT = ("system-ui", "Segoe UI", "Helvetica Neue", "Arial", "sans-serif")


def mount_page(app: FastAPI, path: str, settings: Settings, examples: Sequence[str]) -> None:
    """Let Gradio draw the page below a path of the service.

    Args:
        examples: Names of the pictures that the page offers to try.
    """
    with gr.Blocks(analytics_enabled=False, title=_TITLE, fill_width=True) as page:
        gr.HTML(
            html_template=_read("demo.html"),
            js_on_load=_read("demo.js"),
            apply_default_css=False,
            title=_TITLE,
            disclaimer=DISCLAIMER,
            formats=", ".join((*FORMATS, "DICOM")),
            examples=[{"name": name, "label": name.replace("-", " ").capitalize()} for name in examples],
            needs_key=settings.has_keys,
            max_bytes=settings.max_upload_bytes,
        )
    lifespan = app.router.lifespan_context
    gr.mount_gradio_app(
        app,
        page,
        path,
        footer_links=[],
        run_history=False,
        show_error=False,
        ssr_mode=False,
        pwa=False,
        mcp_server=False,
        enable_monitoring=False,
        theme=gr.themes.Base(font=_FONT, font_mono=("ui-monospace", "monospace")),
        css=_read("demo.css"),
    )
    # Gradio's own would look 1,000 times a second whether a queue that nothing can reach has something for it.
    app.router.lifespan_context = lifespan


def _read(name: str) -> str:
    return (_TEMPLATES / name).read_text(encoding="utf-8")
