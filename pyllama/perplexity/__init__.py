"""How well a model predicts texts, as llama-perplexity measures it.

windows      how a text is cut, and which of its tokens are scored
measure      measurements: items in order, each a record of numbers for every token
estimate     perplexity and its standard error
divergence   Kullback-Leibler divergence from another model
statistics   what llama-perplexity says about it
base_file    the file that holds what the other model predicts
tasks        texts with several continuations, of which one is right
header       the circumstances of a run, which make it comparable
journal      the saved state of a run
compare      two runs side by side
plot         a picture of a run
"""

from pyllama.perplexity.estimate import Estimate
from pyllama.perplexity.measure import Measurement, Perplexity, Record
from pyllama.perplexity.windows import Windows

__all__ = ["Estimate", "Measurement", "Perplexity", "Record", "Windows"]
