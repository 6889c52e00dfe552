"""Files of tickets: CSV, JSON lines and Parquet, encodings and column names; what tickets mean is not known here."""
