"""The subcommands of ``npecat``, one file each: they read arguments and print lines."""
