"""Memory of the compiled e-prop: allocated once, saved and loaded by name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from streamvdib.backends.compilation import aligned_zeros
from streamvdib.backends.numba_factors import (
    BOXCAR,
    COLUMNS,
    HISTORY,
    LEARNS_FEEDBACK,
    MATRIX,
    N_PAST,
    N_RING_FIELDS,
    OVERLAPS,
    OWN,
    OWN_COUNTS,
    PAIRS,
    PAST_SUMS,
    PASTS,
    PRIOR,
    SIGMOID,
    SIGNAL_SUMS,
    SIGNALS,
    SUPERSPIKE,
    SURROGATE,
    TRACE_PRODUCTS,
    WORKING,
    Factors,
)
from streamvdib.backends.numba_plan import (
    FEEDBACK_TAU,
    N_INPUTS,
    N_NEURONS,
    N_PADDED,
    TAU,
    Layout,
    Sections,
)
from streamvdib.backends.numba_updates import (
    HAS_BASELINE,
    N_BLOCK,
    N_COUNTS,
    N_CREDITED,
    N_NUMBERS,
    SCALE,
    WARM_UP,
)
from streamvdib.neurons.srm import SRM

Array = npt.NDArray[Any]
SURROGATES = {"boxcar": BOXCAR, "sigmoid": SIGMOID, "superspike": SUPERSPIKE}


class FactorRings:
    """Factors of the last steps of one lane.

    Memory: block + n_credited + n_held slots, each of two numbers per neuron; for so many steps
    and tau_e more a bit per input, and tau_e numbers per layer; the feedback matrices; and what
    updates are taken back with: two numbers per neuron and a few per slot.

    Args:
        layout: of the backend that advances the encoder.
        dtype: that it computes in.
        matrices: random feedback to every hidden layer, (n_readout, n_hidden).
        prior_logits: of the readout, (n_readout,).
        n_credited: steps that the signal of one step credits.
        block: K, factors that are written into the weights together.
        n_held: steps for which they may have to wait longer.
        n_costs: steps whose information cost may still count.
        warm_up: steps before the first update.
        has_baseline: whether the running mean of the signal is taken off it.
    """

    def __init__(
        self,
        layout: Layout,
        dtype: npt.DTypeLike,
        matrices: Sequence[Array],
        prior_logits: Array,
        *,
        n_credited: int,
        block: int,
        n_held: int,
        n_costs: int,
        warm_up: int,
        has_baseline: bool,
    ) -> None:
        n_slots = -(-(n_credited + block + n_held) // 8) * 8
        self._values, self._history, self._lists = Sections(), Sections(), Sections()
        self.rings = np.zeros((len(layout.plan), N_RING_FIELDS), np.uint64)
        for index in range(len(layout.plan)):
            self._plan(layout, index, n_slots)
        n_past = int(self.rings[:, N_PAST].max())
        self.values = aligned_zeros(self._values.n_elements, dtype)
        self.history = np.zeros(self._history.n_elements, np.uint64)
        self.lists = np.zeros(self._lists.n_elements, np.int32)
        self.coefficients = np.zeros(n_slots, np.float64)
        self.scales = np.zeros(n_past + 4, dtype)
        self.places = np.zeros(n_past + 4, np.uint64)
        self.units = np.zeros(int(layout.plan[:, [N_PADDED, N_INPUTS]].max()) + 1, np.uint64)
        self.responses = aligned_zeros(n_slots, dtype)
        self.held = aligned_zeros(n_past * min(layout.n_padded, int(COLUMNS)), dtype)
        self.products = np.zeros((n_slots, n_slots), np.float64)
        self.norms = np.zeros((len(layout.plan) + 1, n_slots), np.float64)
        self.costs = np.zeros(n_costs, np.float64)
        self.numbers = np.zeros(N_NUMBERS, np.float64)
        self.counts = np.zeros(N_COUNTS, np.int64)
        self.n_held = n_held
        self.marked_coefficients = np.zeros(n_slots, np.float64)
        self.marked_numbers = np.zeros(N_NUMBERS, np.float64)
        self.marked_counts = np.zeros(N_COUNTS, np.int64)
        self.marked_parameters = np.zeros(2 * int(layout.plan[:, N_NEURONS].sum()), dtype)
        self.counts[N_CREDITED], self.counts[N_BLOCK] = n_credited, block
        self.counts[WARM_UP], self.counts[HAS_BASELINE] = warm_up, has_baseline
        self.numbers[SCALE] = 1
        for index, matrix in enumerate(matrices):
            rows = self._values.view(self.values, index, MATRIX)
            rows[:, : len(matrix)] = matrix.T
        last = len(layout.plan) - 1
        self._values.view(self.values, last, PRIOR)[: len(prior_logits)] = prior_logits

    def _plan(self, layout: Layout, index: int, n_slots: int) -> None:
        row, ring, add = layout.plan[index], self.rings[index], self._values.add
        neuron = layout.encoder.layers[index].neuron
        assert isinstance(neuron, SRM)
        n_padded, n_neurons = int(row[N_PADDED]), int(row[N_NEURONS])
        n_sources, tau = int(row[N_INPUTS]), int(row[TAU])
        n_past = -(-(n_slots + tau) // 64) * 64
        ring[N_PAST] = n_past
        ring[HISTORY] = self._history.add(index, HISTORY, n_past // 64, n_sources)
        ring[OVERLAPS] = add(index, OVERLAPS, 2 * n_past + 64)
        ring[PAIRS] = add(index, PAIRS, tau, n_past)
        ring[TRACE_PRODUCTS] = add(index, TRACE_PRODUCTS, n_slots)
        learns, is_readout = neuron.learns_feedback, index == len(layout.plan) - 1
        for rows, sums, is_kept in ((SIGNALS, SIGNAL_SUMS, True), (PASTS, PAST_SUMS, learns)):
            ring[rows] = add(index, rows, n_slots * is_kept, n_padded)
            ring[sums] = add(index, sums, n_slots // 8 * is_kept, n_padded)
        n_readout = int(layout.plan[-1, N_PADDED])
        ring[MATRIX] = add(index, MATRIX, 0 if is_readout else n_neurons, n_readout)
        ring[WORKING] = add(index, WORKING, max(n_padded, n_readout, 2 * n_past + 64))
        ring[PRIOR] = add(index, PRIOR, n_padded if is_readout else 0)
        ring[LEARNS_FEEDBACK] = learns
        ring[SURROGATE] = SIGMOID if neuron.stochastic else SURROGATES[neuron.surrogate]
        add, tau = self._lists.add, int(row[FEEDBACK_TAU]) + 1
        ring[OWN] = add(index, OWN, tau if learns else 0, n_neurons)
        ring[OWN_COUNTS] = add(index, OWN_COUNTS, tau if learns else 0)

    @property
    def factors(self) -> Factors:
        """Arguments of the compiled functions, in their order."""
        return Factors(
            self.rings, self.values, self.history, self.lists, self.coefficients, self.scales,
            self.places, self.units, self.responses, self.held, self.norms,
        )  # fmt: skip

    def arrays(self) -> dict[str, Array]:
        """What changes, by name; the arrays are its own."""
        return {
            "factors.values": self.values,
            "factors.history": self.history.view(np.int64),
            "factors.lists": self.lists,
            "factors.coefficients": self.coefficients,
            "factors.products": self.products,
            "factors.norms": self.norms,
            "factors.costs": self.costs,
            "factors.numbers": self.numbers,
            "factors.counts": self.counts,
            "mark.coefficients": self.marked_coefficients,
            "mark.numbers": self.marked_numbers,
            "mark.counts": self.marked_counts,
            "mark.parameters": self.marked_parameters,
        }
