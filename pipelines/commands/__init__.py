"""The subcommands of ``npecat``, a file a command: arguments in, lines out."""
