"""Tiny models of every family, their golden logits and the tests that compare with them."""
