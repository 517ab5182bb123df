"""What was predicted, what turned out true, and how far live data is from that of training."""
