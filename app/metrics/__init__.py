"""What is counted: numbers that processes share, and their names for Prometheus; judging them is left to insights."""
