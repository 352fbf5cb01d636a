"""The commands that nobody waits for: grouped by what people do with them.  `launch/commands.py` lists them all; it names each handler as text."""
