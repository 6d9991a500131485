"""The user's labels of windows, kept beside the corpus: what they say, who said it, and when."""

from pipeline.labels.book import LabelBook, labels_folder
from pipeline.labels.entry import MAX_TEXT_LETTERS, Label, Place, Undo, labels_of
from pipeline.labels.in_force import InForce, belong
from pipeline.labels.table import LABEL_COLUMNS, labels_of_csv

__all__ = ["LABEL_COLUMNS", "MAX_TEXT_LETTERS", "InForce", "Label", "LabelBook", "Place", "Undo", "belong",
           "labels_folder", "labels_of", "labels_of_csv"]
