"""The other side: read all columns with pyarrow, keep given rows, write them."""

from __future__ import annotations

import sys
from pathlib import Path

import pyarrow.parquet as pq

folder, chosen, output = sys.argv[1:4]
rows = pq.read_table(Path(chosen), columns=["row"]).column("row").combine_chunks()
table = pq.read_table(Path(folder))
pq.write_table(table.take(rows), output)
