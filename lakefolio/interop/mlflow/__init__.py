"""A lake as MLflow's tracking store, artifact store and model registry: ``lakefolio:///path``, ``lakefolio://s3://…``.

MLflow finds the stores by entry points. Its runs are ordinary runs of the lake; what the lake has no word of
(experiments, logged models, the registry) are documents in the folios ``mlflow/…``. ``lakefolio/docs/mlflow.md`` says
where each thing lies.
"""

__all__: list[str] = []
