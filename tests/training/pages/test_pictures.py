import pytest
from matplotlib.figure import Figure

from training.pages.pictures import label_text, render_svg


def _draw() -> str:
    figure = Figure()
    figure.subplots().plot([0, 1], [1, 0], label="<a>")
    return render_svg(figure)


def test_a_figure_is_one_element_that_refers_to_nothing_outside():
    drawn = _draw()
    assert drawn.startswith("<svg")
    assert drawn.rstrip().endswith("</svg>")
    assert 'href="http' not in drawn


@pytest.mark.parametrize("name", ["_hidden", "$x$", r"$\nonsense$", "a $", "glioma"])
def test_a_label_shows_the_name_as_it_is(name):
    figure = Figure()
    axis = figure.subplots()
    axis.plot([0, 1], label=label_text(name))
    axis.set_xticks([0], [label_text(name)])
    axis.legend()
    assert render_svg(figure).replace("\u200b", "").count(f">{name}</text>") == 2


def test_the_same_figure_is_the_same_text():
    assert _draw() == _draw()
