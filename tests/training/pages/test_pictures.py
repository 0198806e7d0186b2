from matplotlib.figure import Figure

from training.pages.pictures import render_svg


def _draw() -> str:
    figure = Figure()
    figure.subplots().plot([0, 1], [1, 0], label="<a>")
    return render_svg(figure)


def test_a_figure_is_one_element_that_refers_to_nothing_outside():
    drawn = _draw()
    assert drawn.startswith("<svg")
    assert drawn.rstrip().endswith("</svg>")
    assert 'href="http' not in drawn


def test_the_same_figure_is_the_same_text():
    assert _draw() == _draw()
