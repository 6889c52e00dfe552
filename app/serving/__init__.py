"""Which model answers, and how tickets reach it; no HTTP."""
