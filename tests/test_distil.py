"""The script that makes the table of words: the whole of it on a tiny input, with a teacher that knows two topics."""

from __future__ import annotations

import importlib.util
import json
import random
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from lakefolio.search import meaning
from lakefolio.search.meaning import StaticEncoder

TOPICS = ("snow fog rain storm weather cloud", "train model loss epoch tensor gradient")
SCRIPT = Path(__file__).parent / "bench" / "distil_meaning.py"


class Teacher:
    """Says of a text how much of each topic it has, in two of 384 directions."""

    def __init__(self, folder: Path) -> None:
        assert (folder / "tokenizer.json").exists()

    def vectors(self, texts: list[str], batch: int = 128) -> np.ndarray:
        rows = np.random.default_rng(1).normal(scale=0.02, size=(len(texts), 384)).astype(np.float32)
        for row, text in zip(rows, texts, strict=True):
            for number, topic in enumerate(TOPICS):
                row[number] += sum(word in topic.split() for word in text.split())
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@pytest.fixture(scope="module")
def script() -> ModuleType:
    pytest.importorskip("torch", reason="the script trains with torch, which is an extra")
    spec = importlib.util.spec_from_file_location("distil_meaning", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_table_is_distilled_that_search_reads(
    script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chance = random.Random(1)
    texts = [" ".join(chance.choices(chance.choice(TOPICS).split(), k=4)) for _ in range(600)]
    (tmp_path / "tokenizer.json").write_text(json.dumps({"model": {"vocab": {"snow": 1, "the": 2, "##ing": 3}}}))
    monkeypatch.setattr(script, "Teacher", Teacher)
    target = tmp_path / "table.npz"
    script.distil(tmp_path, texts, 600, 100, target)
    monkeypatch.setattr(meaning, "_TABLE", target)
    encoder = StaticEncoder()
    assert encoder.size == 128
    weather, fog, training = encoder.of_texts(["storm and cloud", "fog", "epoch of a tensor"])
    assert weather @ fog > 0.9
    assert abs(weather @ training) < 0.3


def test_words_are_the_teachers_first_then_the_most_frequent(script: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text(json.dumps({"model": {"vocab": {"Snow": 1, "ab": 2, "##ing": 3}}}))
    found = script.vocabulary(["Fog fog rain", "fog"], tmp_path, 38)
    words = [word for word, _, _ in found]
    assert words[0] == "snow"
    assert words[-1] == "fog"
    assert ("fog", "fog", 3) in found
    assert script.bag("fog snowfog", {"fog": 0, "snow": 1}) == [0, 1, 0]
