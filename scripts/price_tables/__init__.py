"""Two public price tables held against each other."""
