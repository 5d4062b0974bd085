"""Geometry: where every pixel goes, and how tiles come back together."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamvdib.errors import GeometryError
from streamvdib.events import SensorSize
from streamvdib.geometry import Box, Geometry, fit_geometry, parse_crop


def whole(width: int, height: int) -> Box:
    return Box(0, 0, width, height)


def target(geometry: Geometry, x: int, y: int, on: bool) -> list[int]:
    row = (on * geometry.sensor.height + y) * geometry.sensor.width + x
    return [int(t) for t in geometry.targets[row] if t >= 0]


def test_polarity_channels_follow_each_other_rows_first() -> None:
    geometry = Geometry(SensorSize(4, 3), whole(4, 3))
    assert target(geometry, x=1, y=2, on=False) == [9]
    assert target(geometry, x=1, y=2, on=True) == [12 + 9]


def test_one_polarity_channel_takes_both() -> None:
    geometry = Geometry(SensorSize(4, 3), whole(4, 3), polarity_channels=1)
    assert target(geometry, 1, 2, on=False) == target(geometry, 1, 2, on=True) == [9]


def test_a_crop_drops_what_lies_outside_and_downsampling_joins_pixels() -> None:
    geometry = Geometry(SensorSize(10, 10), Box(2, 4, 4, 4), downsample=2, polarity_channels=1)
    assert target(geometry, 1, 4, on=True) == []
    assert target(geometry, 2, 4, on=True) == target(geometry, 3, 5, on=True) == [0]
    assert target(geometry, 5, 7, on=True) == [3]
    assert target(geometry, 6, 7, on=True) == []


def test_a_pixel_under_two_tiles_feeds_both_lanes() -> None:
    geometry = Geometry(SensorSize(6, 4), whole(6, 4), tile=(4, 4), overlap=2, polarity_channels=1)
    assert geometry.corners == ((0, 0), (0, 2))
    assert target(geometry, x=3, y=1, on=True) == [7, 16 + 5]


@given(st.integers(4, 30), st.integers(4, 30), st.integers(0, 3))
def test_every_pixel_of_the_area_lies_under_a_tile(width: int, height: int, overlap: int) -> None:
    geometry = Geometry(
        SensorSize(width, height),
        whole(width, height),
        tile=(4, 4),
        overlap=overlap,
        polarity_channels=1,
    )
    assert (geometry.targets[:, 0] >= 0).all()
    covered = geometry.targets[geometry.targets >= 0]
    assert len(np.unique(covered)) == geometry.n_lanes * 16


@given(st.integers(4, 20), st.integers(4, 20), st.integers(0, 3))
def test_tiles_of_one_picture_come_back_as_that_picture(
    width: int, height: int, overlap: int
) -> None:
    sensor = SensorSize(width, height)
    geometry = Geometry(sensor, whole(width, height), tile=(4, 4), overlap=overlap)
    picture = np.random.default_rng(0).random((height, width), dtype=np.float32)
    tiles = np.stack([picture[r : r + 4, c : c + 4] for r, c in geometry.corners])
    np.testing.assert_allclose(geometry.assemble(tiles), picture, rtol=1e-5)


def test_the_blend_goes_from_one_tile_to_the_next_in_even_steps() -> None:
    geometry = Geometry(SensorSize(6, 4), whole(6, 4), tile=(4, 4), overlap=2)
    tiles = np.stack([np.zeros((4, 4), np.float32), np.ones((4, 4), np.float32)])
    np.testing.assert_allclose(geometry.assemble(tiles)[1], [0, 0, 1 / 3, 2 / 3, 1, 1])


def test_a_338x260_area_takes_130_tiles_of_26x26() -> None:
    geometry = fit_geometry(SensorSize(346, 260), (2, 26, 26), crop="338x260", tile=True)
    assert geometry.n_lanes == 130


def test_a_crop_without_a_corner_is_centred() -> None:
    assert parse_crop("34x30", SensorSize(100, 50)) == Box(33, 10, 34, 30)
    assert parse_crop("34x30+1+2", SensorSize(100, 50)) == Box(1, 2, 34, 30)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, r"takes 34x34 pixels; the source gives 346x260.*--crop 34x34.*--tile.*--downsample 7"),
        ({"crop": "34"}, "a crop must read WIDTHxHEIGHT"),
        ({"crop": "400x400"}, "must lie on the sensor of 346x260"),
        ({"crop": "20x20", "tile": True}, "a tile must fit the area of 20x20; got 34x34"),
        ({"tile": True, "overlap": 34}, "overlap by less; got 34"),
    ],
)
def test_what_does_not_fit_is_refused_with_an_option_that_does(
    options: dict[str, object], message: str
) -> None:
    with pytest.raises(GeometryError, match=message):
        fit_geometry(SensorSize(346, 260), (2, 34, 34), **options)  # type: ignore[arg-type]


def test_a_sensor_smaller_than_the_model_is_told_so() -> None:
    with pytest.raises(GeometryError, match="a model made for a sensor of 16x16 pixels"):
        fit_geometry(SensorSize(16, 16), (2, 34, 34))
