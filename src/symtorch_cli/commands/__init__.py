"""One file a command, each with ``run(arguments) -> exit code``.

What is typed and how errors are told is not decided here.
"""
