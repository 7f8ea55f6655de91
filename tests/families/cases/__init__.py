"""The table of golden cases, a file for each group of families."""

from families.case import Case
from families.cases.dense import DENSE
from families.cases.experts import EXPERTS
from families.cases.layer_norm import LAYER_NORM
from families.cases.older import OLDER

CASES: tuple[Case, ...] = DENSE + LAYER_NORM + OLDER + EXPERTS
