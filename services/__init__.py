"""The ZeroMQ side: decoded frames out, control in, figures for people and machines."""
