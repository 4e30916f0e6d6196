"""The one exception that a user is meant to read."""


class NpecatError(Exception):
    """A problem the user can mend; its message is one line that names the thing and the fix.

    The command line prints it without a traceback and exits with status 1.
    """
