"""Importance matrices: how much the columns of a model's weights matter, collected over a text.

imatrix      the matrix: sums of squares and counts, by the name of the weight
merging      several of them added up, and whether one fits a model
reading      the files, in both formats
writing      the same
collecting   steps of a model that sum up; not imported with the rest, which needs no model
coverage     which experts saw data
statistics   how the sums are distributed over columns and layers
"""

from pyllama.imatrix.coverage import Coverage, coverage
from pyllama.imatrix.imatrix import Entry, Imatrix
from pyllama.imatrix.merging import check_fits, merge
from pyllama.imatrix.reading import read_imatrix
from pyllama.imatrix.statistics import LayerStatistics, TensorStatistics, by_layer, statistics
from pyllama.imatrix.writing import Format, write_imatrix

__all__ = [
    "Coverage",
    "Entry",
    "Format",
    "Imatrix",
    "LayerStatistics",
    "TensorStatistics",
    "by_layer",
    "check_fits",
    "coverage",
    "merge",
    "read_imatrix",
    "statistics",
    "write_imatrix",
]
