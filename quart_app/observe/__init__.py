"""What became of the requests: the access log and the metrics."""
