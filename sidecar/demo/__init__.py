"""A stand-in gateway, and the whole story told with it: no account, no network, nothing of the user's read or written."""
