"""What people read beside a model."""
