"""The door of gRPC: the Open Inference Protocol V2, health and reflection, on a port of its own."""
