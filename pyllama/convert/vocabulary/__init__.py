"""Tokenizers of checkpoints as the metadata of a GGUF file.

vocabulary = read_vocabulary(folder, embedding_rows)
vocabulary.metadata()                            # the tokenizer.* keys
vocabulary.warnings                              # what differs from the original

tokenizer = Tokenizer.from_gguf(file)            # of the finished file
texts = nasty_texts(vocabulary.special_texts)
check_round_trip(vocabulary.original, tokenizer, texts)
"""

from pyllama.convert.vocabulary.nasty_texts import nasty_texts
from pyllama.convert.vocabulary.originals import Original
from pyllama.convert.vocabulary.reading import read_vocabulary
from pyllama.convert.vocabulary.round_trip import Difference, check_round_trip
from pyllama.convert.vocabulary.vocabulary import Vocabulary

__all__ = [
    "Difference",
    "Original",
    "Vocabulary",
    "check_round_trip",
    "nasty_texts",
    "read_vocabulary",
]
