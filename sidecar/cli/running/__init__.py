"""The daemon's life and health: `start`, `stop`, `status`, `logs`, `doctor`, and the demo."""
