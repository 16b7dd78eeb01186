"""The daily levels of a real year, computed with pandas from the file itself, against what is published.

Arguments: the CSV of the year (UTC+1 all year), the address of the dataset.
"""

import io
import json
import sys
import urllib.parse
import urllib.request

import pandas as pd

csv, address = sys.argv[1:]


def get(url: str) -> bytes:
    with urllib.request.urlopen(url) as answer:
        return answer.read()


year = pd.read_csv(csv, comment="#", float_precision="round_trip")
level = pd.Series(year["gwhead_m"].to_numpy(), index=pd.to_datetime(year["time"]).dt.tz_localize("+01:00").dt.tz_convert("Europe/Rome"))
measured = level.dropna().sort_index()
by_day = measured.groupby(measured.index.date)
expected = pd.DataFrame(
    {
        "min": by_day.min(),
        "mean": by_day.mean(),
        "max": by_day.max(),
        "max_at": by_day.idxmax().dt.tz_convert("UTC"),
        "count": by_day.count(),
    }
)
days = pd.DatetimeIndex(pd.to_datetime(expected.index)).tz_localize("Europe/Rome")
hours = ((days + pd.DateOffset(days=1)).tz_convert("UTC") - days.tz_convert("UTC")).total_seconds() / 3600
expected["expected"] = hours.astype(int)
expected["coverage"] = expected["count"] / expected["expected"]
expected.loc[expected["coverage"] < 0.75, "mean"] = float("nan")

manifest = json.loads(get(address))
base = "{0.scheme}://{0.netloc}".format(urllib.parse.urlparse(address))
read = {
    "csv": lambda body: pd.read_csv(io.BytesIO(body), float_precision="round_trip"),
    "parquet": lambda body: pd.read_parquet(io.BytesIO(body)),
    "geojson": lambda body: pd.DataFrame(feature["properties"] for feature in json.loads(body)["features"]),
}
for kind, reader in read.items():
    files = [file for file in manifest["files"] if file["format"] == kind]
    parts = [reader(get(base + file["href"])) for file in files]
    for part, file in zip(parts, files, strict=True):
        assert len(part) == file["rows"], (kind, file)
    found = pd.concat(parts)
    names = [column["name"] for column in manifest["columns"]]
    # The members of a JSON object have no order.
    assert (sorted(found.columns) == sorted(names)) if kind == "geojson" else (list(found.columns) == names), found.columns
    found["day"] = pd.to_datetime(found["day"]).dt.date
    found = found.set_index("day").sort_index()
    assert list(found.index) == list(expected.index), (kind, len(found), len(expected))
    for column in ["min", "max", "count", "expected", "coverage"]:
        assert (found[column].to_numpy() == expected[column].to_numpy()).all(), (kind, column)
    at = pd.to_datetime(found["max_at"], utc=True)
    other = at.to_numpy() != expected["max_at"].to_numpy()
    assert not other.any(), (kind, "max_at", at[other], expected["max_at"][other])
    mean = (found["mean"].astype(float).to_numpy() - expected["mean"].to_numpy())
    assert (found["mean"].isna().to_numpy() == expected["mean"].isna().to_numpy()).all(), (kind, "which means are empty")
    assert abs(mean[~pd.isna(mean)]).max() < 1e-9, (kind, "mean")
    changes = {str(day): int(found.loc[day, "expected"]) for day in found.index if found.loc[day, "expected"] != 24}
    thin = int((expected["coverage"] < 0.75).sum())
    gaps = int((expected["expected"] - expected["count"]).sum())
    print(f"{kind}: {len(found)} days equal; {changes}; {gaps} hours missing in them, {thin} days below 75 %, {len(days)} of 366 days have any")
