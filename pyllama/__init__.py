"""pyllama: run, measure, convert and quantize language models in GGUF files."""
