"""Tasks with several answers, of which the model should find the right one the likeliest.

candidates        texts as tokens, and their log-probabilities
selection         random choices of tasks, the same as llama-perplexity's
hellaswag         endings of a story
winogrande        whom a sentence speaks of
multiple_choice   questions and answers: ARC, MMLU, TruthfulQA
"""

from pyllama.perplexity.tasks.candidates import Candidate, CandidateScores, Task
from pyllama.perplexity.tasks.hellaswag import read_hellaswag, wilson_interval
from pyllama.perplexity.tasks.multiple_choice import read_multiple_choice
from pyllama.perplexity.tasks.winogrande import read_winogrande

__all__ = [
    "Candidate",
    "CandidateScores",
    "Task",
    "read_hellaswag",
    "read_multiple_choice",
    "read_winogrande",
    "wilson_interval",
]
