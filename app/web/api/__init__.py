"""HTTP routes, one file for each first path segment: parse, call, return."""
