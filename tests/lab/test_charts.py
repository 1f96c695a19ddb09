"""Charts: the JSON that nbval compares, the picture that stands beside it."""

import io
import json
from typing import Any

import plotly.graph_objects as go
import pytest
from matplotlib.figure import Figure

from lapnet_lab.charts import PLOTLY, WIDTH, Chart, chart, still


def png_of(figure: Figure) -> bytes:
    file = io.BytesIO()
    figure.savefig(file, format="png")
    return file.getvalue()


@pytest.fixture
def figure() -> go.Figure:
    bars = {"type": "data", "symmetric": False, "array": [1.0, 2.0], "arrayminus": [0.5, 0.5]}
    traces = [
        go.Scatter(x=[1.0, 2.0], y=[0, 1], name="one", mode="markers", error_x=bars, marker={"color": "#0072B2"}),
        go.Scatter(x=[1.0, None], y=[0, 1], name="two", mode="lines", line={"dash": "dash", "color": "#D55E00"}),
        go.Scatter(x=[9.0], y=[9], name="hidden", visible="legendonly"),
        go.Scatter(x=[1.5], y=[0], name="seeds", mode="markers", showlegend=False, marker={"symbol": "circle-open"}),
    ]
    y = {"yaxis_tickvals": [0, 1], "yaxis_ticktext": ["<b>a</b>", "b"], "yaxis_autorange": "reversed"}
    return chart(traces, title="of a<br>thing", x="AP, %", xaxis_range=[0, 5], **y)


def test_a_chart_has_its_numbers_its_text_and_a_picture(figure: go.Figure) -> None:
    bundle, metadata = Chart(figure, "1 and 2")._repr_mimebundle_()
    assert "points of one" in metadata["image/png"]["alt"]
    assert bundle["text/plain"] == repr(Chart(figure, "1 and 2")) == "1 and 2"
    assert bundle["image/png"].startswith(b"\x89PNG")
    shown = json.loads(json.dumps(bundle[PLOTLY]))
    assert [trace["x"] for trace in shown["data"]] == [[1.0, 2.0], [1.0, None], [9.0], [1.5]]
    assert shown["layout"]["title"]["text"] == "of a<br>thing"
    assert len(json.dumps(bundle[PLOTLY])) < 4000, "a template of plotly's is heavy"
    assert shown["layout"]["width"] == WIDTH, "of free size it shrinks to nothing in JupyterLab"
    assert "responsive" not in shown["config"]


def test_the_same_numbers_give_the_same_json(figure: go.Figure) -> None:
    again = go.Figure(figure)
    assert Chart(again, "")._repr_mimebundle_()[0][PLOTLY] == Chart(figure, "")._repr_mimebundle_()[0][PLOTLY]


def test_the_picture_has_what_the_chart_has(figure: go.Figure) -> None:
    picture = still(figure)
    (ax,) = picture.axes
    assert ax.get_title(loc="left") == "of a\nthing"
    assert ax.get_xlabel() == "AP, %"
    assert ax.get_xlim() == (0, 5)
    assert [text.get_text() for text in ax.get_yticklabels()] == ["a", "b"]
    low, high = ax.get_ylim()
    assert low > high, "reversed"
    legend: Any = ax.get_legend()
    assert [text.get_text() for text in legend.get_texts()] == ["one", "two"]
    drawn: list[Any] = [line.get_xdata() for line in ax.get_lines()]
    assert not any(9.0 in list(x) for x in drawn), "what is hidden stays hidden"
    assert len(png_of(picture)) > 2000


def test_a_logarithmic_axis_is_one_in_the_picture_too() -> None:
    figure = chart([go.Scatter(x=[1, 10, 100], y=[1, 2, 3])], title="", x="steps", xaxis_type="log", xaxis_range=[0, 2])
    (ax,) = still(figure).axes
    assert ax.get_xscale() == "log"
    assert ax.get_xlim() == pytest.approx((1, 100))
