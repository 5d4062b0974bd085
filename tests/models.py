"""Small models that tests share."""

from typing import Any

from streamvdib.model import Model, new_model


def small_description(**changes: Any) -> dict[str, Any]:
    """Two layers on a 4x3 sensor, with every kind of response."""
    cascade = {
        "kind": "cascaded_exponentials",
        "membrane_decay": 0.9,
        "synapse_decay": 0.85,
        "tau_e": 12,
    }
    description: dict[str, Any] = {
        "name": "small",
        "dt_us": 1000,
        "input_shape": [2, 3, 4],
        "layers": [
            {
                "connection": {"kind": "dense", "n_neurons": 9},
                "neuron": {
                    "kind": "srm",
                    "response": cascade,
                    "feedback": {"kind": "exponential", "decay": 0.65, "tau_e": 12},
                },
            },
            {
                "connection": {"kind": "dense", "n_neurons": 7},
                "neuron": {
                    "kind": "srm",
                    "stochastic": True,
                    "learns_feedback": True,
                    "response": {"kind": "raised_cosines", "n_basis": 3, "tau_e": 10},
                    "feedback": {"kind": "raised_cosines", "n_basis": 1, "tau_e": 10},
                },
            },
        ],
        "decoder": {"kind": "mlp", "tau_d": 6, "output_shape": [5, 4], "n_hidden": 8},
    }
    return description | changes


def small_model(seed: int = 0, **changes: Any) -> Model:
    """A model of ``small_description`` with random weights."""
    return new_model(small_description(**changes), seed=seed)
