"""Graphs of operations: their meaning, passes over them, and plans to compute them."""
