"""Fixtures of the whole suite: see lakefolio.testing.fixtures; and no test sees the user's own settings."""

import gc
import os
import secrets
from pathlib import Path

import pytest
import thoroughness

pytest_plugins = ["lakefolio.testing.fixtures"]

SLOW = {
    "cli/test_cli_process.py",
    "cli/test_shells.py",
    "cli/test_cli_streams.py::test_a_stream_that_takes_nothing",
    "faults/test_check_beside_writers.py",
    "test_records_writers.py",
    "faults/test_commit_faults.py",
    "faults/test_forks.py",
    "faults/test_forks_beside_imports.py",
    "faults/test_hand_edited.py::test_rows_that_make_no_sense",
    "faults/test_interrupts.py",
    "faults/test_many_writers.py",
    "faults/test_neighbours.py",
    "faults/test_upkeep_faults.py",
    "faults/test_wrong_answers.py",
    "readmodels/test_large_lakes.py::test_memory_does_not_follow_the_lake",
    "readmodels/test_large_lakes.py::test_the_memory_of_a_check_does_not_follow_the_lake",
    "items/test_hostile_models.py::test_no_change_of_one_array_or_number_crashes_the_reader",
    "interop/test_mlflow.py",
    "items/test_model_round_trip.py::test_every_estimator_of_scikit_learn_that_skops_writes_is_stored",
    "pages/test_browser.py",
    "protocol/test_gc_schedules.py::test_nor_does_any_with_a_fault",
    "protocol/test_commit_schedules.py::test_nor_do_runs_that_are_drawn_of_a_crowd",
    "protocol/test_commit_schedules.py::test_nor_does_any_interleaving_of_more",
    "readmodels/test_models_of_lakes.py::test_a_deleted_model_is_missed_by_nobody_and_made_again",
    "readmodels/test_models_of_lakes.py::test_a_writer_killed_between_any_two_steps_leaves_models_that_answer_right",
    "runs/test_capture_cache.py::test_an_answer_is_found_by_another_process",
    "runs/test_following.py::test_a_pipe_gets_a_line_for_what_is_new_and_an_interrupt_ends_it_cleanly",
    "runs/test_following.py::test_a_terminal_gets_a_table_that_is_renewed",
    "runs/test_lost.py",
    "runs/test_registry_writers.py",
    "sql/test_cage.py::test_hard_work_ends_by_its_limit",
    "test_signals.py::test_interrupts_of_first_calls_are_not_noticed_by_other_threads",
    "stateful/test_gc_machine.py",
    "stateful/test_time_travel.py",
    "test_bench.py",
    "test_browse.py::test_a_view_file_without_an_end_is_stopped_and_named",
    "test_browse.py::test_files_that_mean_no_good_are_left_out_and_do_no_harm",
    "test_decoding_bombs.py",
    "test_tracking_notebook.py",
    "test_changed_content.py::test_what_changes_all_the_time_is_refused_or_whole",
    "test_decoding_bounds.py",
    "test_gc.py::test_killed_at_every_request_gc_harms_nothing_and_is_resumed",
    "test_journal.py::test_processes_lose_nothing",
    "test_memory.py",
    "test_notebook.py",
    "test_soak.py",
    "test_surroundings.py::test_everything_works_whatever_the_home",
    "test_upkeep.py::test_a_lake_of_many_commits_is_its_log_and_little_else_after_upkeep",
}
"""Files, or tests of them, that kill processes, race many of them, measure or search: ``pytest -m slow`` runs them."""

SLOW_ON_S3 = {
    "compat/test_datafolio_1x.py",
    "faults/test_damaged_content.py",
    "faults/test_damaged_tables.py",
    "test_bad_input.py",
    "test_bad_names.py",
}
"""Files that try very many cases of what no store decides. ``pytest`` tries all of them in local folders, and
``pytest -m slow`` all of them on S3."""


def _is_slow(item):
    here = Path(__file__).parent
    if not item.path.is_relative_to(here):
        return False
    file = item.path.relative_to(here).as_posix()
    if file in SLOW_ON_S3 and hasattr(item, "callspec") and item.callspec.params.get("lake_uri") == "s3":
        return True
    return file in SLOW or f"{file}::{getattr(item, 'originalname', item.name)}" in SLOW


def pytest_configure(config):
    profile = thoroughness.THOROUGH if config.option.markexpr == "slow" else thoroughness.FAST
    thoroughness.choose(profile, same=config.getoption("--hypothesis-seed") is None)


@pytest.hookimpl(tryfirst=True)
def pytest_collection(session):
    """Collect without Python's search for cycles: each looks at all tests anew, for a third of the time."""
    gc.disable()


def pytest_collection_finish(session):
    """What was collected lives to the end, so that no later search for cycles has to look at it."""
    gc.freeze()
    gc.enable()


def pytest_ignore_collect(collection_path, config):
    """Leave files out unread, none of whose tests would be run: reading all of them takes seconds in each process."""
    here = Path(__file__).parent
    if config.option.markexpr == "not slow" and collection_path.is_relative_to(here):
        return collection_path.relative_to(here).as_posix() in SLOW or None
    return None


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config, items):
    for item in items:
        # properties are tried with a few examples by the fast tests, and once more with many by the slow ones
        is_property = getattr(getattr(item, "obj", None), "is_hypothesis_test", False)
        if _is_slow(item) or (is_property and config.option.markexpr == "slow"):
            item.add_marker(pytest.mark.slow)


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch, tmp_path_factory):
    for name in os.environ:
        foreign = name.startswith(("AWS_", "AZURE_", "GOOGLE_", "LAKEFOLIO_"))
        if foreign and name not in ("AWS_CA_BUNDLE", "LAKEFOLIO_TEST_REQUIRE"):
            monkeypatch.delenv(name)
    empty = tmp_path_factory.getbasetemp() / "no-such-aws"
    monkeypatch.setenv("AWS_CONFIG_FILE", str(empty / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(empty / "credentials"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path_factory.getbasetemp() / "config"))
    caches = tmp_path_factory.getbasetemp() / "caches"  # one for each test, made only if something is put there
    monkeypatch.setenv("XDG_CACHE_HOME", str(caches / secrets.token_hex(8)))
