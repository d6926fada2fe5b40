"""Colours that mean the same method everywhere, and that colour-blind readers can distinguish."""

import itertools

import numpy as np
import pytest

from analysis.looks import METHODS, OTHERS, axis_label, looks
from config.search_path import available

# How each kind of colour vision sees linear RGB (Machado, Oliveira and Fernandes 2009, severity 1).
VISIONS = {
    "normal": np.eye(3),
    "protanopia": [[0.152, 1.053, -0.205], [0.115, 0.786, 0.099], [-0.004, -0.048, 1.052]],
    "deuteranopia": [[0.367, 0.861, -0.228], [0.280, 0.673, 0.047], [-0.012, 0.043, 0.969]],
    "tritanopia": [[1.256, -0.077, -0.179], [-0.078, 0.931, 0.148], [0.005, 0.691, 0.304]],
}
XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])


def lab(colour, vision):
    """CIE L*a*b* of a colour as it is seen."""
    rgb = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    x = XYZ @ np.clip(np.array(vision) @ linear, 0, 1) / [0.9505, 1, 1.089]
    f = np.where(x > 0.008856, np.cbrt(x), 7.787 * x + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


@pytest.mark.parametrize("vision", VISIONS)
def test_every_reader_can_distinguish_the_colours(vision):
    colours = {colour for colour, _ in METHODS.values()}
    pairs = itertools.combinations([lab(colour, VISIONS[vision]) for colour in colours], 2)
    assert min(np.linalg.norm(a - b) for a, b in pairs) > 12  # a just visible difference is 2.3


def test_every_method_of_ours_has_a_look_and_no_two_share_one():
    assert set(METHODS) == set(available("algs"))
    assert len(set(looks(list(METHODS)))) == len(METHODS)


def test_a_method_looks_the_same_beside_any_other():
    for alg in (*METHODS, "mine"):
        others = [other for other in METHODS if other != alg]
        assert looks([*others, "yours", alg])[-1] == looks([alg])[0]
    assert looks(["mine"])[0].colour in OTHERS


def test_variants_of_a_method_share_its_colour_and_differ_in_the_line():
    algs = ["iql"] * 20 + ["iql_joint"]
    chosen = looks(algs)
    assert len(set(chosen)) == 21
    assert len({look.colour for look in chosen}) == 1
    assert chosen[0] == looks(["iql"])[0]
    assert chosen[20] == looks(["iql_joint"])[0]


def test_axes_are_labelled_in_words():
    assert axis_label("test_return_mean") == "return of greedy tests"
    assert axis_label("test_final_distance_mean") == "final distance in greedy tests"
    assert axis_label("grad_norm") == "grad norm"
