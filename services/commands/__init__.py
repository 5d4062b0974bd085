"""Subcommands of the ZeroMQ side."""
