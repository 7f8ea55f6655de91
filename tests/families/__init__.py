"""Tiny checkpoints of every family that is converted, and the logits that they must give."""
