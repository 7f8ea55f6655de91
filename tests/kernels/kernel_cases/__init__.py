"""Kernel runs with their expected results, made apart from where they run: here or emulated."""
