"""Neuron models, one file each: constants, state, one step, and the spike derivative.

To add one, write its file and its line in ``NEURONS``.
"""

NEURONS = {
    "srm": "streamvdib.neurons.srm:SRM",
    "lif_hard_reset": "streamvdib.neurons.lif_hard_reset:LIFHardReset",
}
