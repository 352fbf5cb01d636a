"""The fast start: everything that `sidecar run` and `sidecar statusline` load, because a person waits for it at every start of an agent.

Law: standard library only, and little of it; nothing else of the package is imported here.  Commands that live elsewhere are named
as text and loaded when they are asked for (`commands.load`).  The rest of the package may import from here: places, passes, and the
daemon's state file have one definition, and it is this one.  A test holds the imports.
"""
