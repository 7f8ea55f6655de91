"""Low-rank adapters: computed with, and converted."""
