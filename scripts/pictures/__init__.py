"""The README's pictures, and the program that draws them: `scripts/draw`."""
