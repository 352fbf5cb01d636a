"""What the ledger costs, and how fast it answers: `scripts/bench-ledger`.

year         the requests of a year of heavy use, the same in every run
ledger_file  those requests in a ledger
transcripts  those requests as Claude Code writes them down itself, which is what ccusage reads
ccusage      that program, from npm
writing      what the product's own writer needs for a row
"""
