"""From what a run said to what a page shows: pure functions, no database, no request."""
