import json
import re
from pathlib import Path

DASHBOARD = Path(__file__).parents[2] / "examples" / "grafana" / "dashboard.json"


def test_the_dashboard_asks_for_metrics_and_labels_that_exist(calibrated_client, scan):
    calibrated_client.post("/predict", content=scan)
    calibrated_client.post("/predict", content=b"x")
    page = calibrated_client.get("/metrics").text
    names = set(re.findall(r"^(\w+)(?:\{| )", page, re.MULTILINE))
    labels = set(re.findall(r'[{,](\w+)="', page)) | {"instance"}
    panels = json.loads(DASHBOARD.read_text(encoding="utf-8"))["panels"]
    expressions = [target["expr"] for panel in panels for target in panel["targets"]]
    assert len(expressions) > 12
    for expression in expressions:
        asked = set(re.findall(r"\b((?:http|brain_mri)_\w+)", expression))
        assert asked, expression
        assert asked <= names, expression
        for used in re.findall(r"by \(([\w, ]+)\)", expression) + re.findall(r"[{,](\w+)=", expression):
            assert set(used.replace(" ", "").split(",")) <= labels, expression
        assert expression.count("(") == expression.count(")")
