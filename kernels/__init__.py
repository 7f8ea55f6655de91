"""Kernels: their language, the instruction sets, the block formats, and the compiler."""
