from training.evaluation.plots import SIDE, roc_lines


def test_curves_go_from_bottom_left_to_top_right(evaluation):
    lines = roc_lines(evaluation.splits[0])
    assert [line.label.split()[0] for line in lines] == list(evaluation.classes)
    for line in lines:
        points = line.points.split()
        assert points[0] == f"0.0,{SIDE:.1f}"
        assert points[-1] == f"{SIDE:.1f},0.0"
