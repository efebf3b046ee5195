"""Kind figure: figures of matplotlib, plotly, altair and Pillow, the same bytes for the same figure."""

import io
import json
import struct
import zlib

import pytest
from items_support import MemorySource, roundtrip, store

import lakefolio as lf
from lakefolio.errors import IntegrityError, InvalidInputError, UnsupportedTypeError
from lakefolio.items import handler_of
from lakefolio.items.picture import Picture
from lakefolio.testing.need import need

matplotlib = need("matplotlib", "plots")
matplotlib.use("agg")
plt = need("matplotlib.pyplot", "plots")
go = need("plotly.graph_objects", "test")
alt = need("altair", "test")
pd = need("pandas", "pandas")
Image = need("PIL.Image", "plots")


@pytest.fixture(autouse=True)
def _closed():
    yield
    plt.close("all")


def curve(last: float = 3.0):
    figure, axes = plt.subplots(figsize=(4, 3), dpi=50)
    axes.plot([1, 2, last], label="a")
    axes.set(xlabel="epoch", ylabel="AUC", title="Validation")
    return figure


def png(width: int, height: int, data: bytes = b"") -> bytes:
    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


@pytest.mark.parametrize(("format", "width", "height"), [("png", 200, 150), ("svg", 384, 288)])
def test_a_matplotlib_figure_is_a_picture_that_shows_itself(format, width, height):
    source, encoded = store(curve(), format=format)
    assert (encoded.kind, encoded.format) == ("figure", format)
    assert {key: encoded.details[key] for key in ("library", "width", "height", "axes")} == {
        "library": "matplotlib",
        "width": width,
        "height": height,
        "axes": [{"title": "Validation", "x": "epoch", "y": "AUC"}],
    }
    assert encoded.details["library_version"] == matplotlib.__version__
    assert encoded.description == "Validation: AUC against epoch"
    back = handler_of("figure").decode(source, encoded.details)
    assert isinstance(back, Picture)
    shown = (back._repr_png_(), back._repr_html_())
    assert [one is not None for one in shown] == [format == "png", format == "svg"]
    assert shown[format == "svg"][:4] in (b"\x89PNG", "<img")
    assert not hasattr(back, "_repr_svg_"), "an SVG that stands in a page by itself may run scripts there"
    assert f"{width}x{height}" in repr(back)


@pytest.mark.parametrize("format", ["png", "svg"])
def test_the_same_figure_drawn_anew_is_the_same_content(format):
    (one, _), (again, _), (other, _) = store(curve(), format=format), store(curve(), format=format), store(curve(4))
    assert one.content == again.content != other.content
    assert b"20" + b"26-" not in one.content  # no date
    assert b"matplotlib version" not in one.content.lower()


def test_axes_stand_for_their_figure():
    figure = curve()
    assert store(figure.axes[0])[0].content == store(figure)[0].content


def test_a_picture_can_be_added_again_and_saved(tmp_path):
    picture = roundtrip(curve())
    assert roundtrip(picture) == picture
    path = picture.save(tmp_path / "fig.png")
    assert path.read_bytes() == picture.data
    with pytest.raises(lf.AlreadyExistsError):
        picture.save(path)


def test_a_plotly_figure_comes_back_as_itself_and_as_its_specification():
    figure = go.Figure(
        go.Scatter(x=[1, 2], y=[3, None]), layout={"title": "Loss", "xaxis": {"title": {"text": "step"}}}
    )
    source, encoded = store(figure)
    assert encoded.description == "Loss"
    assert encoded.details["axes"] == [{"x": "step"}]
    back = handler_of("figure").decode(source, encoded.details)
    assert isinstance(back, go.Figure)
    assert json.loads(back.to_json()) == json.loads(figure.to_json())
    assert store(back)[0].content == source.content
    spec = handler_of("figure").decode(source, encoded.details, as_="spec")
    assert spec["data"][0]["y"] == [3, None]
    picture = handler_of("figure").decode(source, encoded.details, as_="picture")
    assert picture._repr_mimebundle_()["application/vnd.plotly.v1+json"] == spec


def chart():
    data = alt.Data(values=[{"a": 1, "b": "y"}, {"a": 2, "b": "x"}])
    picked = alt.selection_interval()
    colour = alt.condition(picked, alt.value("red"), alt.value("blue"))
    return alt.Chart(data, title="Points").mark_point().encode(x="a:Q", y="b:N", color=colour).add_params(picked)


def test_an_altair_chart_comes_back_and_is_the_same_content_when_it_is_made_anew():
    (one, encoded), (again, _) = store(chart()), store(chart())
    assert one.content == again.content
    assert encoded.media_type.startswith("application/vnd.vegalite.v")
    back = handler_of("figure").decode(one, encoded.details)
    assert isinstance(back, alt.Chart)
    wanted = chart().to_dict()
    assert {key: back.to_dict()[key] for key in ("mark", "encoding", "params", "title")} == {
        key: wanted[key] for key in ("mark", "encoding", "params", "title")
    }
    layered = chart() + chart()
    assert isinstance(roundtrip(layered), alt.LayerChart)


def test_an_altair_chart_of_too_many_rows_says_how_to_allow_them():
    many = alt.Chart(pd.DataFrame({"a": range(5001)})).mark_point().encode(x="a:Q")
    with pytest.raises(InvalidInputError) as caught:
        store(many)
    assert "disable_max_rows" in caught.value.hint


@pytest.mark.parametrize("mode", ["1", "L", "LA", "RGB", "RGBA", "P", "I;16"])
def test_an_image_comes_back_pixel_by_pixel(mode):
    image = Image.effect_noise((9, 7), 50).convert(mode) if mode != "I;16" else Image.new("I;16", (9, 7), 54321)
    back = roundtrip(image)
    assert (back.mode, back.size, back.tobytes()) == (mode, (9, 7), image.tobytes())


@pytest.mark.parametrize("mode", ["CMYK", "F", "YCbCr", "I"])
def test_an_image_that_png_would_change_is_refused(mode):
    with pytest.raises(UnsupportedTypeError, match=mode):
        store(Image.new(mode, (2, 2), 70_000 if mode == "I" else 0))


def test_an_animation_is_refused_not_cut():
    file = io.BytesIO()
    Image.new("L", (2, 2)).save(file, format="GIF", save_all=True, append_images=[Image.new("L", (2, 2), 255)])
    with pytest.raises(UnsupportedTypeError, match="frames"):
        store(Image.open(file))


@pytest.mark.parametrize(
    "content",
    [b"", b"GIF89a", png(60_000, 60_000), png(20_000, 8_000, zlib.compress(b"\0" * 1000)), png(0, 5)],
)
@pytest.mark.parametrize("as_", [None, "pil", "picture"])
def test_a_bomb_is_refused_before_it_is_decoded(content, as_):
    details = {"media_type": "image/png", "library": "pillow"}
    with pytest.raises(IntegrityError):
        handler_of("figure").decode(MemorySource(content), details, as_=as_)


@pytest.mark.parametrize("details", [{}, {"media_type": "image/gif"}, {"media_type": ["x"]}])
def test_details_from_a_bucket_are_not_trusted(details):
    with pytest.raises(IntegrityError):
        handler_of("figure").decode(MemorySource(png(1, 1)), details)


@pytest.mark.parametrize("name", ["application/vnd.plotly.v1+json", "application/vnd.vegalite.v5+json"])
@pytest.mark.parametrize("content", [b"", b"[]", b"[" * 100_000, b'{"data":[{"type":"nothing"}],"mark":[3]}'])
def test_a_specification_that_is_none_is_said_to_be_so(name, content):
    with pytest.raises(IntegrityError):
        handler_of("figure").decode(MemorySource(content), {"media_type": name})


def test_a_folio_keeps_a_figure_with_what_it_says_of_itself(tmp_path):
    folio = lf.open(tmp_path / "lake").folio("f")
    folio.add("fig", curve()).add("own", curve(), "mine").add("line", go.Figure())
    info = folio.item_info("fig")
    assert (info["item_type"], info["description"], info["media_type"]) == (
        "figure",
        "Validation: AUC against epoch",
        "image/png",
    )
    assert folio.item_info("own")["description"] == "mine"
    assert isinstance(folio.get("line"), go.Figure)
    assert folio.export("fig", tmp_path / "x.png").stat().st_size == info["size_bytes"]
    with pytest.raises(InvalidInputError, match=r"can't be written as 'x\.svg'"):
        folio.export("fig", tmp_path / "x.svg")
    with pytest.raises(InvalidInputError, match="dpi"):
        folio.add("none", curve(), dpi=0)
    assert json.loads(folio.get("line", as_="bytes"))["data"] == []
    folio.add("fig", curve(5), overwrite=True, keep=True)
    assert folio.item_info("fig")["description"] == "Validation: AUC against epoch"
