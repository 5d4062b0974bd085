"""Figures of experiments: lines that can be told apart."""

from streamvdib.replay.experiments.figures import line_styles


def test_no_two_lines_look_the_same() -> None:
    names = [str(number) for number in range(40)]
    for n_lines, n_dashed in ((14, 0), (20, 0), (20, 8), (40, 20)):
        styles = line_styles(names[:n_lines], names[:n_dashed])
        assert len(set(styles.values())) == n_lines


def test_lines_of_a_group_share_their_strokes_and_begin_with_the_same_colours() -> None:
    styles = line_styles(["snn", "ann", "other"], dashed=["ann"])
    assert styles == {"snn": ("C0", "-"), "ann": ("C0", "--"), "other": ("C1", "-")}
