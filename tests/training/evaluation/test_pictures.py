import base64
import io

import numpy as np
from PIL import Image

from training.evaluation.pictures import draw_explained


def test_the_scan_stands_beside_its_heat_map(evaluation):
    path = evaluation.splits[0].judged.scans[0].path
    address = draw_explained(evaluation.classifier, path)
    head, body = address.split(",")
    assert head == "data:image/jpeg;base64"
    picture = Image.open(io.BytesIO(base64.b64decode(body)))
    assert picture.size == (320, 160)
    scan = Image.open(path).convert("RGB").resize((160, 160))
    left = np.asarray(picture.convert("RGB"))[:, :160]
    assert np.abs(left.astype(int) - np.asarray(scan)).mean() < 8
