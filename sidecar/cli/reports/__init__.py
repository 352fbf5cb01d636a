"""What has been used: `usage`, `top`, `prices`, and the tables they print.  Reads the ledger, changes nothing but prices on request."""
