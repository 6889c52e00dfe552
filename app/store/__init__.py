"""What is remembered: predictions, what people say of them, and the state of promises, in SQLite or Postgres."""
