"""Instruction sets: how the lane vocabulary is emitted on each."""
