"""Writes the files beside it, as other programs write them: Python's csv and json, pyarrow 26 and DuckDB 2.0.

python -m venv venv && venv/bin/pip install pyarrow duckdb && venv/bin/python make.py
"""

import csv
import datetime
import decimal
import json
import sqlite3
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.ipc
import pyarrow.parquet

here = Path(__file__).parent
zurich = "Europe/Zurich"

towns = [
    {"name": "Bern", "metres": 540.5, "note": 'the "federal"\r\ncity, of Bern', "open": True, "id": 1},
    {"name": "Zürich", "metres": None, "note": "", "open": False, "id": -2},
    {"name": "Biel/Bienne 🐻", "metres": 434.0, "note": " spaces ", "open": True, "id": 3},
]
with open(here / "python.csv", "w", newline="", encoding="utf-8-sig") as file:
    writer = csv.DictWriter(file, towns[0].keys())
    writer.writeheader()
    writer.writerows(towns)
(here / "python.json").write_text(json.dumps(towns, indent=2))
(here / "python.jsonl").write_text("\n".join(json.dumps(town, ensure_ascii=False) for town in towns))

schema = pa.schema(
    [
        pa.field("id", pa.int32(), nullable=False),
        ("small", pa.uint8()),
        ("single", pa.float32()),
        ("score", pa.float64()),
        ("text", pa.string()),
        ("category", pa.dictionary(pa.int8(), pa.string())),
        ("good", pa.bool_()),
        ("blob", pa.binary()),
        ("day", pa.date32()),
        ("at", pa.timestamp("us", tz=zurich)),
        ("local", pa.timestamp("ms")),
        ("price", pa.decimal128(12, 2)),
        ("tags", pa.list_(pa.string())),
        ("place", pa.struct([("latitude", pa.float64()), ("name", pa.large_string())])),
        ("counts", pa.map_(pa.string(), pa.int64())),
        ("corner", pa.list_(pa.int32(), 2)),
    ]
)
moment = datetime.datetime(2024, 7, 1, 10, 30, 0, 123456, tzinfo=datetime.timezone.utc)
rows = [
    {
        "id": id,
        "small": id % 200,
        "single": id / 4,
        "score": id / 8,
        "text": f"row {id}",
        "category": ["red", "green"][id % 2],
        "good": id % 2 == 0,
        "blob": bytes([id % 256, 0]),
        "day": datetime.date(2024, 2, 29) + datetime.timedelta(days=id),
        "at": moment + datetime.timedelta(hours=id),
        "local": datetime.datetime(2024, 1, 1, 12, 0, 0, 5000) + datetime.timedelta(days=id),
        "price": decimal.Decimal("-12345.60") + id,
        "tags": ["a", None, f"{id}"],
        "place": {"latitude": 46.5, "name": f"place {id}"},
        "counts": {"x": id, "y": 2},
        "corner": [id, -id],
    }
    for id in range(500)
]
rows[1] = {name: 1 if name == "id" else None for name in schema.names}
table = pa.Table.from_pylist(rows, schema)
pyarrow.parquet.write_table(table, here / "pyarrow.parquet", row_group_size=200, compression="snappy")
with pa.OSFile(str(here / "pyarrow.arrow"), "wb") as sink:
    with pa.ipc.new_file(sink, schema, options=pa.ipc.IpcWriteOptions(compression="lz4")) as writer:
        writer.write_table(table, max_chunksize=200)
with pa.OSFile(str(here / "pyarrow.arrows"), "wb") as sink:
    with pa.ipc.new_stream(sink, schema) as writer:
        writer.write_table(table, max_chunksize=70)

connection = duckdb.connect()
connection.execute(
    """
    create table rows as select
        i::integer as id, 'row ' || i as text, i / 8 as score, i % 3 = 0 as good,
        case when i % 5 = 0 then null else date '2024-02-28' + i::integer end as day,
        (i * 1.25)::decimal(10, 2) as price, [i, i + 1] as pair
    from range(300) as range(i)
    """
)
for name, options in [
    ("duckdb.parquet", "format parquet, row_group_size 2048, compression snappy"),
    ("duckdb.csv", "format csv, header"),
    ("duckdb.jsonl", "format json"),
    ("duckdb.json", "format json, array"),
]:
    connection.execute(f"copy rows to '{here / name}' ({options})")

for name, metres in [("towns.db", 434), ("towns_changed.db", 435)]:
    (here / name).unlink(missing_ok=True)
    database = sqlite3.connect(here / name)
    database.execute("create table towns (id integer primary key, name text, metres real, open integer, seal blob)")
    database.executemany(
        "insert into towns values (?, ?, ?, ?, ?)",
        [(1, "Bern", 540.5, 1, b"\x00bear"), (2, "Biel", metres, 0, None), (3, "Oz", None, 1, b"")],
    )
    database.execute("create table odd as select 1 as id, 'one' as n union all select 2, 2 union all select 3, 'three'")
    database.commit()
    database.close()
