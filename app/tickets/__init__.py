"""Files of tickets: CSV, JSON, JSON lines and Parquet, encodings, column names; what tickets mean is not known here."""
