"""What influence with the Fisher cannot do without: reading, and two products in NumPy.

The second moment of the gradients, and their products with the target's: the time of each is its
operations at the rate that sgemm reaches here on operands of its shape.
"""

from __future__ import annotations

import json
import sys
import time

import numpy as np

from benchmarks.sides.loading import load

start = time.perf_counter()
gradients = load(sys.argv[1])
target = load(sys.argv[2])
read = time.perf_counter() - start
rows, dim = gradients.shape
# another operand than the transposed one, of which NumPy would make only half
other = gradients + np.float32(1.0)
seconds = []
for left, right in ((gradients.T, other), (gradients, np.ascontiguousarray(target.T))):
    begun = time.perf_counter()
    left @ right
    seconds.append(time.perf_counter() - begun)
print(json.dumps({"read": read, "moment": seconds[0], "scores": seconds[1]}))
