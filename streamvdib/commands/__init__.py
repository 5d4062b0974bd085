"""The subcommands of ``streamvdib``, one module each."""
