"""The work of `map_1m` by DataChain: workload.py prepare|default|prefetch=0 ROOT ROWS

The last line of the output is what `rowmark-bench` reads. The clock runs from a loaded program to saved rows.
"""

import json
import os
import resource
import sys
import time

what, root, rows = sys.argv[1], sys.argv[2], int(sys.argv[3])
os.makedirs(root, exist_ok=True)
os.environ["DATACHAIN_ROOT_DIR"] = root
os.environ["DATACHAIN_NO_ANALYTICS"] = "1"

import datachain as dc  # noqa: E402 (it reads its environment when it is loaded)

TEXT = (
    "the room was small and the bed was hard, but the staff was kind and the view was worth it; "
    "breakfast came late, the coffee was good, and nobody minded the rain that fell on the bay. "
)


def computed(id: int, author: int, stars: float, unix_time_ms: int, text: str) -> tuple[int, int, float, int, str]:
    return id, author, stars * 2, unix_time_ms, text


begun = time.monotonic()
if what == "prepare":
    ids = range(rows)
    chain = dc.read_values(
        id=list(ids),
        author=[row * 48271 % 1_000_003 for row in ids],
        stars=[row % 11 / 2 for row in ids],
        unix_time_ms=[1_700_000_000_000 + row for row in ids],
        text=[TEXT[row % 100 :][: 64 + row % 17] for row in ids],
    )
    saved = chain.save("rows")
else:
    chain = dc.read_dataset("rows")
    if what == "prefetch=0":
        chain = chain.settings(prefetch=0)
    output = {"out_id": int, "out_author": int, "out_stars": float, "out_unix_time_ms": int, "out_text": str}
    saved = chain.map(computed, output=output).save("computed")
seconds = time.monotonic() - begun

peak_bytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10
print()
print(json.dumps({"rows": saved.count(), "seconds": seconds, "peak_bytes": peak_bytes}))
