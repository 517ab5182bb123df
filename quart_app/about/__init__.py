"""What the server says of a model."""
