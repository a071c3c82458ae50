"""``python writer.py FILE`` writes one checkpoint after the other, each full of its own number, for ever."""

import itertools
import sys
from pathlib import Path

import numpy as np

from odesim.checkpoints import Checkpoint, Record

checkpoint = Checkpoint(Path(sys.argv[1]))
rows = {"risk": np.zeros((1, 10**6))}
for number in itertools.count(1):
    checkpoint.write([Record(number, {"W": np.full(10**6, number)})], rows)
