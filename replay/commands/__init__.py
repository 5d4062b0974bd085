"""Subcommands that need data sets, simulation or experiments."""
