"""MLflow's autologging of large libraries, each tried on a small problem; what came into the lake is printed.

    python -m venv ./.venv-auto && ./.venv-auto/bin/pip install '.[mlflow,sklearn,plots]' mlflow xgboost lightgbm \
        lightning transformers accelerate
    ./.venv-auto/bin/python tests/bench/autologging.py [xgboost lightgbm lightning transformers]

No part of the tests, which run scikit-learn and LightGBM: the others bring gigabytes, and the whole of MLflow wants an
older pyarrow than the tests have.
"""

from __future__ import annotations

import sys
import tempfile
from importlib.metadata import version
from typing import Any

import mlflow
import numpy as np

import lakefolio as lf

ROWS = np.random.default_rng(0).normal(size=(200, 4))
LABELS = (ROWS[:, 0] > 0).astype(int)


def xgboost() -> None:
    import xgboost

    data = xgboost.DMatrix(ROWS, LABELS)
    settings = {"objective": "binary:logistic", "eval_metric": "logloss"}
    xgboost.train(settings, data, 8, evals=[(data, "train")], verbose_eval=False)


def lightgbm() -> None:
    import lightgbm

    data = lightgbm.Dataset(ROWS, LABELS)
    settings = {"objective": "binary", "metric": "binary_logloss", "verbose": -1}
    lightgbm.train(settings, data, 8, valid_sets=[data], valid_names=["train"])


def lightning() -> None:
    import lightning
    import torch
    from torch.utils.data import DataLoader, TensorDataset

    class Line(lightning.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.line = torch.nn.Linear(4, 1)

        def training_step(self, batch: Any, number: int) -> Any:
            loss = torch.nn.functional.mse_loss(self.line(batch[0]).squeeze(), batch[1])
            self.log("train_loss", loss, on_step=True, on_epoch=True)
            return loss

        def configure_optimizers(self) -> Any:
            return torch.optim.SGD(self.parameters(), lr=0.01)

    rows = torch.tensor(ROWS, dtype=torch.float32)
    quiet = {"enable_progress_bar": False, "logger": False, "enable_checkpointing": False, "accelerator": "cpu"}
    lightning.Trainer(max_epochs=3, **quiet).fit(Line(), DataLoader(TensorDataset(rows, rows[:, 0]), batch_size=50))


def transformers() -> None:
    from transformers import BertConfig, BertForSequenceClassification, Trainer, TrainingArguments

    small = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    model = BertForSequenceClassification(BertConfig(vocab_size=50, max_position_embeddings=16, **small))
    data = [{"input_ids": [1, 2, 3, 4], "attention_mask": [1] * 4, "labels": number % 2} for number in range(16)]
    with tempfile.TemporaryDirectory() as folder:
        settings = TrainingArguments(
            folder, num_train_epochs=2, logging_steps=1, report_to=["mlflow"], use_cpu=True, save_strategy="no"
        )
        Trainer(model, settings, train_dataset=data).train()


TRIED = {one.__name__: one for one in (xgboost, lightgbm, lightning, transformers)}


def main(names: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        mlflow.set_tracking_uri(f"lakefolio://{folder}/lake")
        mlflow.set_registry_uri(f"lakefolio://{folder}/lake")
        for name in names or TRIED:
            mlflow.autolog(log_input_examples=False, log_model_signatures=False, silent=True)
            mlflow.pytorch.autolog(log_every_n_step=1, silent=True)
            with mlflow.start_run(run_name=name) as run:
                TRIED[name]()
            known = lf.open(f"{folder}/lake").get_run(run.info.run_id)
            points = len(lf.open(f"{folder}/lake").metric_history(known.run_id))
            print(f"{name} {version(name)}: {known.status}, {len(known.params)} parameters, {points} points")
            print("   ", dict(known.metrics), [one.name for one in known.outputs])


if __name__ == "__main__":
    main(sys.argv[1:])
