"""How the built-in model is made: corpus, tokenizer, network, training, export, card."""
