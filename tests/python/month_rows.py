"""Reads a month's Parquet file as anybody would: rows, first and last row of a datastream."""
import sys

import pyarrow.parquet as parquet

table = parquet.read_table(sys.argv[1], filters=[("datastream", "=", sys.argv[2])])
rows = table.to_pylist()
print(",".join(table.column_names))
print(len(rows))
for row in (rows[0], rows[-1]):
    print(row["phenomenon_time"].isoformat(), row["result"], row["unit"], row["quality"])
