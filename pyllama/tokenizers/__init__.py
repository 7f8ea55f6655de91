"""Tokenizers: text to token ids and back, built from the metadata of a GGUF file.

tokenizer = Tokenizer.from_gguf(file)
ids = tokenizer.encode("Once upon a time")
tokenizer.decode(ids)

stream = tokenizer.stream()
for token in generated:
    print(stream.push(token), end="")
print(stream.finish())
"""

from .detokenizing import StreamDecoder
from .special import SpecialTokens
from .tokenizer import Tokenizer

__all__ = ["SpecialTokens", "StreamDecoder", "Tokenizer"]
