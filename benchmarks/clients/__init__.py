"""The near ends of the ways that are compared: one process each, told what to do over standard input."""
