"""Reads items of a lake in processes with little memory, and says of each what came of it; run as a script."""

from __future__ import annotations

import json
import os
import resource
import sys
import traceback
import warnings

ROOM_BYTES = 1 << 30
TAKEN_BYTES = 300 << 20


def main(uri: str, names: list[str]) -> None:
    import numpy  # noqa: F401
    import pandas  # noqa: F401
    import polars  # noqa: F401
    import scipy.sparse  # noqa: F401
    import sklearn.ensemble  # noqa: F401
    import skops.io  # noqa: F401
    import torch  # noqa: F401

    import lakefolio as lf

    lake = lf.open(uri, read_only=True)
    for name in names:
        read_end, write_end = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(read_end)
            answer = attempt(lake, name)
            os.write(write_end, json.dumps(answer).encode()[:60_000])
            os._exit(0)
        os.close(write_end)
        with os.fdopen(read_end, "rb") as pipe:
            said = pipe.read()
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        print(json.dumps({"name": name, "status": status, **(json.loads(said) if said else {})}), flush=True)


def attempt(lake: object, name: str) -> dict[str, object]:
    import scipy.sparse

    warnings.simplefilter("ignore")
    with open("/proc/self/statm") as file:
        pages = int(file.read().split()[0])
    limit = pages * resource.getpagesize() + ROOM_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CPU, (60, 60))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    try:
        found = lake.folio("f").get(name)  # type: ignore[attr-defined]
        if scipy.sparse.issparse(found):
            found.toarray()
        elif hasattr(found, "predict"):
            found.predict([[0.0, 0.0]])
        repr(found)
        answer = {"error": None, "found": repr(type(found))}
    except BaseException as exc:
        answer = {"error": type(exc).__name__, "text": str(exc)[:300]}
        if type(exc).__module__ != "lakefolio.errors":
            answer["trace"] = traceback.format_exc()[-2000:]
    taken = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
    return {**answer, "taken": taken}


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
