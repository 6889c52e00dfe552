"""Who is calling, and how often they may; answering those beyond the limit is left to the web."""
