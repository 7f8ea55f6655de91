"""Tokenizers: text to token ids and back, built from the metadata of a GGUF file.

tokenizer = Tokenizer.from_gguf(file)
ids = tokenizer.encode("Once upon a time")
tokenizer.decode(ids)

stream = tokenizer.stream()
for token in generated:
    print(stream.push(token), end="")
print(stream.finish())
"""

from pyllama.tokenizers.detokenizing import StreamDecoder
from pyllama.tokenizers.special import SpecialTokens
from pyllama.tokenizers.tokenizer import Tokenizer

__all__ = ["SpecialTokens", "StreamDecoder", "Tokenizer"]
