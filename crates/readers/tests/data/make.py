"""Writes the files beside it, as other programs write them: Python's csv and json, pyarrow 26, DuckDB 2.0 and datasets 5.2.

python -m venv venv && venv/bin/pip install pyarrow duckdb datasets && venv/bin/python make.py
"""

import csv
import datetime
import decimal
import json
import random
import sqlite3
import tempfile
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.ipc
import pyarrow.parquet
from datasets.data_files import DataFilesDict, get_data_patterns

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

# As Python's `datasets` writes a split with an Image, a ClassLabel, and lists.
features = {
    "image": {"_type": "Image"},
    "label": {"names": ["cat", "dog"], "_type": "ClassLabel"},
    "scores": {"feature": {"dtype": "float64", "_type": "Value"}, "_type": "List"},
    "answers": [{"text": {"dtype": "string", "_type": "Value"}, "start": {"dtype": "int32", "_type": "Value"}}],
}
schema = pa.schema(
    [
        ("image", pa.struct([("bytes", pa.binary()), ("path", pa.string())])),
        ("label", pa.int64()),
        ("scores", pa.list_(pa.float64())),
        ("answers", pa.list_(pa.struct([("text", pa.string()), ("start", pa.int32())]))),
    ],
    metadata={"huggingface": json.dumps({"info": {"features": features}})},
)
rows = [
    {
        "image": {"bytes": b"\x89PNG" + bytes([id]), "path": f"{id}.png"},
        "label": id % 2,
        "scores": [id, 0.5],
        "answers": [{"text": f"answer {id}", "start": id}],
    }
    for id in range(3)
]
pyarrow.parquet.write_table(pa.Table.from_pylist(rows, schema), here / "hub.parquet")

# Which files of which split are, by their names.
random.seed(7)
words = ["train", "training", "test", "testing", "eval", "evaluation", "dev", "val", "valid", "validation", "extra", "latest", "a", "data"]
between = ["-", "_", ".", " ", "1", ""]


def part():
    beginning, end = random.choice(["", "x", "my"]), random.choice(["", "1", "y"])
    text = beginning + random.choice(between) + random.choice(words) + random.choice(between) + end
    return text.strip(" .") or "z"


def name():
    if random.random() < 0.3:
        split, end = random.choice(["train", "test", "extra_1"]), random.choice(["", "-0123abcd"])
        return f"data/{split}-{random.randrange(2):05d}-of-00002{end}.parquet"
    return "/".join([*(part() for _ in range(random.randrange(3))), part() + ".parquet"])


cases = []
for _ in range(60):
    paths = sorted({name() for _ in range(random.randrange(1, 6))})
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder).resolve()
        for path in paths:
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).touch()
        found = DataFilesDict.from_patterns(get_data_patterns(str(folder)), base_path=str(folder))
        # A file that matches two patterns is there twice, and is read once here.
        relative = lambda files: [str(Path(file).relative_to(folder)) for file in dict.fromkeys(files)]
        cases.append([paths, {str(split): relative(files) for split, files in found.items()}])
(here / "hub_splits.json").write_text("[\n" + ",\n".join(json.dumps(case) for case in cases) + "\n]\n")

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
