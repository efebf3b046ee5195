"""Registered models: versions and aliases, promoted and rolled back by several at once, and the same to MLflow."""

import json
import warnings
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from thoroughness import examples

import lakefolio as lf
from lakefolio.cli import cli
from lakefolio.lake.registry import Registry
from lakefolio.process.notice import LakefolioWarning
from lakefolio.testing.need import need


@pytest.fixture
def lake(tmp_path):
    lake = lf.open(tmp_path / "lake", author="ada")
    for number in range(3):
        with lake.run(f"train-{number}") as run:
            made = run.add_output("model", {"weights": number})
        lake.register_model("churn", made, description=f"try {number}", tags=["rf"])
    return lake


def lakefolio(lake, *words, code=0):
    done = CliRunner().invoke(cli, ["--lake", lake.uri, *words])
    assert done.exit_code == code, done.output
    return done.stdout if code == 0 else done.stderr


def test_a_version_is_the_item_it_was_registered_from_and_leads_to_its_run(lake):
    model = lake.model("churn")
    first = model.version(1)
    run = lake.get_run("train-0")
    assert (first.number, first.run_id, first.source) == (1, run.run_id, run.outputs[0].ref)
    assert (first.description, dict(first.tags), first.author) == ("try 0", {"rf": ""}, "ada")
    assert [model.load(which) for which in (1, "v2", "3", "latest")] == [{"weights": n} for n in (0, 1, 2, 2)]
    assert run.run_id in [node.id for node in lake.lineage(first.ref).upstream()]
    with lake.run("serve") as serve:
        serve.add_input("model", first.ref)
    assert serve.inputs[0].ref == first.ref
    assert lake.check(read_data=True).ok


def test_a_run_registers_the_model_that_it_logs(tmp_path):
    lake = lf.open(tmp_path / "lake")
    with lake.run("train") as run:
        made = run.log_model({"weights": 1}, registered_model_name="churn")
        with pytest.raises(lf.InvalidInputError):
            run.log_model({"weights": 2}, "other", registered_model_name="a/b\n")
    assert "other" not in [one.name for one in run.manifest().outputs]
    assert made.ref == lake.model("churn").version().source
    with lake.resume_run(run.run_id) as again:
        again.log_model({"weights": 3}, registered_model_name="churn")
    assert [(one.number, one.run_id) for one in lake.model("churn").versions()] == [(1, run.run_id), (2, run.run_id)]
    tracking = lake.track("notes")
    with pytest.raises(lf.InvalidInputError, match="registers no model"):
        tracking.run.log_model({}, registered_model_name="churn")
    tracking.stop()


def test_the_versions_of_a_model_are_one_look_at_the_store(s3_proxy, s3_uri):
    lake = lf.open(s3_uri, storage_options=s3_proxy.storage_options)
    for number in range(5):
        lake.folio("f").add("model", {"weights": number}, overwrite=True)
        lake.register_model("churn", "f:model", alias="staging")
    model = lake.model("churn")
    model.versions()
    with s3_proxy.count() as requests:
        assert len(model.versions()) == 5
        assert "5 versions" in repr(model)
    assert requests.total <= 2


def test_a_renamed_model_keeps_the_history_of_its_aliases(lake):
    registry = Registry(lake)
    lake.model("churn").promote(1)
    lake.model("churn").promote(2)
    assert registry.rename("churn", "leaving")
    lake.model("leaving").promote(3)
    lake.register_model("churn", "registry:leaving/v1", alias="production")  # another one that takes the old name
    moves = [(one.before, one.after) for one in lake.model("leaving").history()]
    assert moves == [(2, 3), (1, 2), (None, 1)]
    assert [(one.before, one.after) for one in lake.model("churn").history()] == [(None, 1)]
    assert lake.model("leaving").rollback().after == 2
    assert registry.rename("churn", "third")
    assert registry.rename("leaving", "churn")
    assert [one.after for one in lake.model("churn").history()] == [2, 3, 2, 1]
    assert [one.after for one in lake.model("third").history()] == [1]
    assert lake.check().ok


def test_an_alias_is_promoted_and_rolled_back_with_its_history(lake):
    model = lake.model("churn")
    for which in (1, "v3", 2):
        model.promote(which)
    assert model.load("production") == {"weights": 1}
    assert [model.rollback().after for _ in range(2)] == [3, 1]
    with pytest.raises(lf.NotFoundError, match="named no other version before"):
        model.rollback()
    moves = [(one.before, one.after, one.author) for one in model.history("production")]
    assert moves == [(3, 1, "ada"), (2, 3, "ada"), (3, 2, "ada"), (1, 3, "ada"), (None, 1, "ada")][: len(moves)]
    assert len(moves) == 5
    assert model.history()[0].version == lake.version
    model.remove_alias("production")
    assert model.aliases == {}
    assert model.rollback().after == 1  # what was removed comes back
    assert lake.at(model.history()[-1].version).model("churn").aliases == {"production": 1}
    assert repr(model) == "<Model churn: 3 versions, production is v1>"
    assert "production" in model._repr_html_()
    assert "production" in lake.models()._repr_html_()


def test_promoting_what_a_failed_run_made_warns(lake):
    run = lake.run("broken")
    run.log_model({"weights": 9}, registered_model_name="churn")
    run.fail("no memory")
    with pytest.warns(LakefolioWarning, match="v4 of model 'churn' was made by run .* status is failed") as warned:
        assert lake.model("churn").promote(4).after == 4
    assert [one.message.kind for one in warned] == ["unsound-run"]
    done = CliRunner().invoke(cli, ["--lake", lake.uri, "models", "promote", "churn", "broken", "--alias", "try"])
    assert (done.exit_code, done.stdout) == (0, "model churn: try is v4\n")
    assert "status is failed" in done.stderr
    with warnings.catch_warnings(action="error"):
        lake.model("churn").promote(1)


def test_a_promotion_that_rests_on_another_state_is_refused(lake):
    model = lake.model("churn")
    model.promote(1, replacing=0)
    with pytest.raises(lf.ConflictError, match="names v1 by now") as caught:
        model.promote(2, replacing=3)
    assert caught.value.kind == "alias-moved"
    model.promote(2, replacing=1)
    assert model.aliases == {"production": 2}
    registry = Registry(lake)  # a rollback that another one was faster than
    with pytest.raises(lf.ConflictError) as caught:
        registry.set_alias("churn", "production", 1, expected=(3,))
    assert (caught.value.kind, model.aliases) == ("facts-changed", {"production": 2})


def test_a_version_that_is_deleted_has_no_alias_and_its_number_is_not_given_again(lake):
    model = lake.model("churn")
    model.promote(2)
    model.promote(3)
    Registry(lake).delete_version("churn", 3)
    assert model.aliases == {}
    assert [one.number for one in model.versions()] == [1, 2]
    assert lake.register_model("churn", lake.get_run("train-0").outputs[0]).number == 4
    assert model.rollback().after == 2


def test_what_a_run_made_is_registered_by_the_name_of_the_run(lake):
    made = lake.register_model("fraud", "train-1:model")
    assert (made.run_id, lake.get(made.ref)) == (lake.get_run("train-1").run_id, {"weights": 1})
    assert lake.register_model("fraud", f"{made.run_id[-8:]}:model").number == 2
    with pytest.raises(lf.NotFoundError, match=r"run 'train-1' has no output 'modl' \(did you mean 'model'"):
        lake.register_model("fraud", "train-1:modl")


@pytest.mark.parametrize(
    ("call", "error", "match"),
    [
        (lambda lake: lake.model("chrn"), lf.NotFoundError, "did you mean 'churn'"),
        (lambda lake: lake.model("churn").version("prod"), lf.NotFoundError, "no version, alias or run 'prod'"),
        (lambda lake: lake.model("churn").promote(9), lf.NotFoundError, "no version 9"),
        (lambda lake: lake.model("churn").promote(1, "latest"), lf.InvalidInputError, "alias 'latest' can't be used"),
        (lambda lake: lake.model("churn").promote(1, "v2"), lf.InvalidInputError, "alias 'v2' can't be used"),
        (lambda lake: lake.model("churn").rollback("prod"), lf.NotFoundError, "never had an alias"),
        (lambda lake: lake.register_model("a/b", "x:y"), lf.InvalidInputError, "holds '/'"),
        (lambda lake: lake.register_model("a", {"x": 1}), lf.InvalidInputError, "names no item"),
        (lambda lake: lake.register_model("a", "x:y"), lf.NotFoundError, "x"),
        (lambda lake: lf.open(lake.uri, read_only=True).model("churn").promote(1), lf.ReadOnlyError, "read-only"),
    ],
)
def test_mistakes_are_told_and_change_nothing(lake, call, error, match):
    before = lake.version
    with pytest.raises(error, match=match):
        call(lake)
    assert lake.version == before


def test_a_short_id_of_digits_is_a_run(lake):
    model = lake.model("churn")
    with lake.run("digits", run_id="train12345678") as run:
        run.log_model({"weights": [9]}, name="m", registered_model_name="churn")
    assert model.version("12345678").run_id == run.run_id
    assert model.promote("12345678").after == model.version().number
    with pytest.raises(lf.NotFoundError, match="no version, alias or run '99'"):
        model.version("99")


def test_the_version_that_a_run_made_is_named_by_the_run(lake):
    model = lake.model("churn")
    for one in model.versions():
        assert model.version(one.run_id).number == one.number
        assert model.version(one.run_id[-8:]).number == one.number
        assert model.version(lake.get_run(one.run_id).name).number == one.number
    with lake.run("again") as run:
        for weights in ([1], [2]):
            run.log_model({"weights": weights}, name=f"m{weights[0]}", registered_model_name="churn")
    assert model.promote("again").after == 5  # the newest of its two
    with lake.run("other"):
        pass
    with pytest.raises(lf.NotFoundError, match="no version, alias or run 'other'") as caught:
        model.version("other")
    assert "v5" in caught.value.hint
    with lake.run("again"):
        pass
    with pytest.raises(lf.InvalidInputError, match="means 2 runs"):
        model.promote("again")
    assert "production is v2" in lakefolio(lake, "models", "promote", "churn", model.version(2).run_id)


def test_the_command_line_registers_promotes_and_rolls_back(lake):
    ref = lake.get_run("train-1").outputs[0].ref
    assert lakefolio(lake, "models", "register", "fraud", ref, "--alias", "staging").startswith(
        "model fraud v1, staging"
    )
    assert lakefolio(lake, "models", "promote", "churn", "v1") == "model churn: production is v1\n"
    assert lakefolio(lake, "models", "promote", "churn", "latest") == "model churn: production is v3 (was v1)\n"
    assert lakefolio(lake, "models", "rollback", "churn") == "model churn: production is v1 (was v3)\n"
    lines = lakefolio(lake, "models", "list").splitlines()
    assert [line.split()[:2] for line in lines[1:]] == [["churn", "3"], ["fraud", "1"]]
    shown = json.loads(lakefolio(lake, "models", "show", "churn@production", "--json"))
    assert (shown["number"], shown["aliases"], shown["description"]) == (1, ["production"], "try 0")
    assert [row["after"] for row in json.loads(lakefolio(lake, "models", "history", "churn", "--json"))] == [1, 3, 1]
    assert "v3" in lakefolio(lake, "models", "show", "churn")
    assert "names v1 by now" in lakefolio(lake, "models", "promote", "churn", "2", "--replacing", "2", code=5)
    assert "did you mean 'churn'" in lakefolio(lake, "models", "rollback", "chrn", code=3)


def test_mlflow_sees_the_same_registry(lake, tmp_path):
    need("mlflow", "mlflow")
    from lakefolio.interop.mlflow.artifacts import LakefolioArtifactRepository
    from lakefolio.interop.mlflow.registry import LakefolioModelRegistry

    seen = LakefolioModelRegistry(f"lakefolio://{lake.uri}")
    model = lake.model("churn")
    model.promote(2, "champion")
    assert seen.get_model_version_by_alias("churn", "champion").version == 2
    assert seen.get_model_version("churn", 1).run_id == lake.get_run("train-0").run_id
    seen.set_registered_model_alias("churn", "champion", 3)
    assert model.aliases == {"champion": 3}
    assert [one.after for one in model.history()] == [3, 2]
    assert model.rollback("champion").after == 2
    seen.create_registered_model("theirs", description="d")
    assert seen.create_model_version("theirs", "s3://bucket/model", run_id="r").version == 1
    assert lake.model("theirs").version("latest").source == "s3://bucket/model"
    with pytest.raises(lf.InvalidInputError, match=r"mlflow\.pyfunc\.load_model"):
        lake.model("theirs").load()
    seen.rename_registered_model("churn", "renamed")
    assert lake.model("renamed").load("champion") == {"weights": 1}
    assert [one.name for one in lake.models()] == ["renamed", "theirs"]
    place = seen.get_model_version_download_uri("renamed", 2)
    (tmp_path / "down").mkdir()
    found = Path(LakefolioArtifactRepository(place).download_artifacts("", str(tmp_path / "down")))
    assert [(one.name, json.loads(one.read_text())) for one in found.iterdir()] == [("v2", {"weights": 1})]


class Aliases(RuleBasedStateMachine):
    """Two handles on one lake against a list of what each alias named: what holds, and what it goes back to."""

    @initialize()
    def begin(self):
        lake = lf.open(f"memory://aliases-{id(self)}")
        lake.folio("f").add("m", 1)
        for _ in range(3):
            lake.register_model("m", "f:m")
        self.models = [lake.model("m"), lake.model("m")]
        self.registry = Registry(lake)
        self.stacks = {"a": [], "b": []}
        self.moves = []
        self.deleted = set()

    def moved(self, alias, number):
        stack = self.stacks[alias]
        if (stack[-1] if stack else None) == number:
            return
        self.moves.append((alias, number))
        if len(stack) > 1 and stack[-2] == number:
            stack.pop()
        else:
            stack.append(number)

    @rule(who=st.integers(0, 1), alias=st.sampled_from("ab"), number=st.integers(1, 3))
    def promote(self, who, alias, number):
        if number in self.deleted:
            with pytest.raises(lf.NotFoundError):
                self.models[who].promote(number, alias)
        else:
            self.models[who].promote(number, alias)
            self.moved(alias, number)

    @rule(who=st.integers(0, 1), alias=st.sampled_from("ab"))
    def roll_back(self, who, alias):
        before = [one for one in self.stacks[alias][:-1] if one and one not in self.deleted]
        if before:
            assert self.models[who].rollback(alias).after == before[-1]
            self.moved(alias, before[-1])
        else:
            with pytest.raises(lf.NotFoundError):
                self.models[who].rollback(alias)

    @rule(who=st.integers(0, 1), alias=st.sampled_from("ab"))
    def remove(self, who, alias):
        if self.stacks[alias] and self.stacks[alias][-1]:
            self.models[who].remove_alias(alias)
            self.moved(alias, None)
        else:
            with pytest.raises(lf.NotFoundError):
                self.models[who].remove_alias(alias)

    @rule(number=st.integers(1, 3))
    def delete(self, number):
        if number not in self.deleted and len(self.deleted) < 2:
            self.registry.delete_version("m", number)
            self.deleted.add(number)
            for alias in "ab":
                if self.stacks[alias] and self.stacks[alias][-1] == number:
                    self.moved(alias, None)

    @invariant()
    def both_say_the_same(self):
        holds = {alias: stack[-1] for alias, stack in self.stacks.items() if stack and stack[-1]}
        for one in self.models:
            assert one.aliases == holds
            assert [(move.alias, move.after) for move in one.history()[::-1]] == self.moves


TestAliases = Aliases.TestCase
TestAliases.settings = settings(max_examples=examples(40), stateful_step_count=12, deadline=None, derandomize=True)


def test_a_record_is_no_output_of_the_run_in_whose_block_it_is_made(tmp_path):
    lake = lf.open(tmp_path / "lake")
    with lake.run("train") as run:
        made = run.add_output("model", {"weights": 1})
        lake.register_model("churn", made, alias="production")
    assert [one.ref for one in lake.get_run(run.run_id).outputs] == [made.ref]
    assert lake.sql("select folio, item from run_outputs").fetchall() == [(made.ref.partition(":")[0], "model")]
    assert lake.model("churn").version("production").run_id == run.run_id
