# The public names of pipeline, which lists them.

from pipeline import *
from pipeline import __version__ as __version__
