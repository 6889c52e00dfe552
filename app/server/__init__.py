"""What ``python -m app`` puts around the application: connections with deadlines, draining, and worker processes."""
