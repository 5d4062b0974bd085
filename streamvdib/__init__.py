"""streamvdib: event camera in, natural frames out.

Events advance a spiking encoder one time step at a time; a causal decoder turns its last
tau_d readout spike vectors into natural frames. Nothing heavy is imported here.
"""

__version__ = "0.1.0"
