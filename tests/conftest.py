"""Fixtures of the whole suite: see lakefolio.testing.fixtures; and no test sees the user's own settings."""

import gc
import os
import secrets
from pathlib import Path

import pytest
import scipy.special  # noqa: F401 - before thousands of other modules, each of which skops asks for what is in it
import thoroughness

pytest_plugins = ["lakefolio.testing.fixtures"]

SLOW = {
    "cli/test_cli_process.py",
    "cli/test_cli_query.py::test_a_person_sees_how_far_it_is",
    "cli/test_cli_streams.py::test_a_reader_that_stops_reading",
    "cli/test_cli_streams.py::test_a_stream_that_takes_nothing",
    "cli/test_cli_streams.py::test_a_working_directory_that_is_gone",
    "cli/test_shells.py",
    "compat/test_outside_filters.py",
    "faults/test_check_beside_writers.py",
    "faults/test_commit_faults.py",
    "faults/test_damaged_content.py::test_a_model",
    "faults/test_damaged_tables.py::test_a_damaged_checkpoint_costs_time",
    "faults/test_damaged_tables.py::test_a_damaged_pointer_costs_time",
    "faults/test_damaged_tables.py::test_any_flipped_bit_in_the_tables_is_told_or_means_nothing",
    "faults/test_forks.py",
    "faults/test_forks_beside_imports.py",
    "faults/test_hand_edited.py::test_rows_that_make_no_sense",
    "faults/test_interrupts.py",
    "faults/test_logging_faults.py::test_a_lost_answer_of_every_create_is_recognised",
    "faults/test_logging_faults.py::test_what_a_forked_child_logs_is_kept_or_refused",
    "faults/test_many_writers.py",
    "faults/test_neighbours.py",
    "faults/test_outdated_files.py::test_files_are_replaced_before_rows_are_fetched",
    "faults/test_outdated_files.py::test_files_are_replaced_before_they_are_read",
    "faults/test_threads.py::test_a_library_that_another_thread_imports_is_waited_for",
    "faults/test_threads.py::test_readers_beside_writers_read_what_they_asked_for",
    "faults/test_transient.py::test_an_upload_that_was_killed_goes_on_where_it_broke_off",
    "faults/test_upkeep_faults.py",
    "faults/test_wrong_answers.py",
    "interop/test_mlflow.py",
    "interop/test_mlflow_parts.py::test_importing_mlflow_opens_no_lake",
    "items/test_hostile_models.py::test_no_change_of_one_array_or_number_crashes_the_reader",
    "items/test_model_round_trip.py::test_every_estimator_of_scikit_learn_that_skops_writes_is_stored",
    "pages/test_browser.py",
    "pages/test_frozen.py::test_a_large_lake_is_frozen_in_part_and_says_so",
    "protocol/test_commit_schedules.py::test_nor_do_runs_that_are_drawn_of_a_crowd",
    "protocol/test_commit_schedules.py::test_nor_does_any_interleaving_of_more",
    "protocol/test_gc_schedules.py::test_nor_do_runs_that_are_drawn_of_more_actors",
    "protocol/test_gc_schedules.py::test_nor_does_any_with_a_fault",
    "readmodels/test_large_lakes.py::test_memory_does_not_follow_the_lake",
    "readmodels/test_large_lakes.py::test_the_memory_of_a_check_does_not_follow_the_lake",
    "readmodels/test_models_of_lakes.py::test_a_deleted_model_is_missed_by_nobody_and_made_again",
    "readmodels/test_models_of_lakes.py::test_a_writer_killed_between_any_two_steps_leaves_models_that_answer_right",
    "readmodels/test_models_of_lakes.py::test_gc_leaves_two_checkpoints_of_each_table",
    "readmodels/test_run_file.py::test_sums_over_many_files_read_each_footer_once",
    "readmodels/test_totals.py::test_a_lake_of_an_earlier_library_is_listed_and_gets_totals",
    "readmodels/test_totals.py::test_totals_are_right_after_all_that_changes_them",
    "readmodels/test_totals.py::test_totals_of_another_version_than_the_entries_are_made_right",
    "runs/test_capture_cache.py::test_an_answer_is_found_by_another_process",
    "runs/test_following.py::test_a_pipe_gets_a_line_for_what_is_new_and_an_interrupt_ends_it_cleanly",
    "runs/test_following.py::test_a_terminal_gets_a_table_that_is_renewed",
    "runs/test_kept_runs.py::test_what_is_kept_is_what_gathering_gives",
    "runs/test_lost.py",
    "runs/test_metrics.py::test_a_forked_child_that_leaves_the_block_does_not_end_the_run",
    "runs/test_metrics.py::test_a_killed_process_loses_at_most_the_last_second",
    "runs/test_metrics.py::test_two_processes_log_to_one_run",
    "runs/test_registry_writers.py",
    "runs/test_run_writers.py::test_many_processes_record_runs_in_one_lake",
    "sql/test_cage.py::test_hard_work_ends_by_its_limit",
    "stateful/test_gc_machine.py",
    "stateful/test_time_travel.py",
    "test_bench.py",
    "test_browse.py::test_a_view_file_without_an_end_is_stopped_and_named",
    "test_browse.py::test_files_that_mean_no_good_are_left_out_and_do_no_harm",
    "test_changed_content.py::test_what_changes_all_the_time_is_refused_or_whole",
    "test_cold_objects.py",
    "test_decoding_bombs.py",
    "test_decoding_bounds.py",
    "test_distil.py::test_a_table_is_distilled_that_search_reads",
    "test_fuzz.py::test_what_is_no_description_of_a_table_is_damage",
    "test_fuzz.py::test_whatever_a_lake_says",
    "test_fuzz_items.py",
    "test_gc.py::test_killed_at_every_request_gc_harms_nothing_and_is_resumed",
    "test_gc.py::test_objects_stay_few_beside_the_log_entries",
    "test_journal.py::test_processes_lose_nothing",
    "test_memory.py",
    "test_notebook.py",
    "test_records_writers.py",
    "test_requests.py::test_opening_a_large_lake_and_getting_one_item",
    "test_search_stored.py::test_an_index_that_is_damaged_or_foreign_is_not_believed",
    "test_search_stored.py::test_an_index_that_someone_forged_ends_no_search_and_is_told",
    "test_search_stored.py::test_the_files_do_not_depend_on_how_documents_fall_into_chunks",
    "test_signals.py::test_an_interrupt_after_any_relation_was_bound_leaves_sql_usable",
    "test_signals.py::test_interrupts_of_first_calls_are_not_noticed_by_other_threads",
    "test_soak.py",
    "test_surroundings.py::test_authors_that_are_not_utf8_are_shown_as_what_they_are",
    "test_surroundings.py::test_everything_works_in_a_deleted_working_directory",
    "test_surroundings.py::test_everything_works_in_a_working_directory_that_is_not_utf8",
    "test_surroundings.py::test_everything_works_whatever_the_home",
    "test_testing.py::test_fixtures_serve_other_projects",
    "test_tracking_notebook.py",
    "test_upkeep.py::test_a_lake_of_many_commits_is_its_log_and_little_else_after_upkeep",
    "test_upkeep.py::test_what_deltalake_cleans_up_breaks_no_promised_version",
}
"""Files, or tests of them, that kill or start many processes, race, measure, search, or try the same fault in very many
places: ``pytest -m slow`` runs them."""

SLOW_ON_S3 = {
    "cli/test_cli_story.py",
    "compat/test_datafolio_1x.py",
    "compat/test_datafolio_2x.py",
    "compat/test_outside_readers.py",
    "faults/test_damaged_content.py",
    "faults/test_damaged_tables.py",
    "faults/test_hand_edited.py",
    "test_bad_input.py",
    "test_bad_names.py",
    "test_compare.py",
    "test_folio.py",
    "test_gc.py",
    "test_search.py",
    "test_search_meaning.py",
    "test_search_sql.py",
    "test_search_texts.py",
    "test_status.py",
    "test_storage.py::test_large_content_passes_in_bounded_memory",
}
"""Files, or tests of them, that try many cases, or large ones, of what no store decides beyond what the contract of
stores says, which is tried on S3 by ``pytest``, too. Their cases are tried in local folders by ``pytest``, and on S3 by
``pytest -m slow``."""


def _is_slow(item):
    here = Path(__file__).parent
    if not item.path.is_relative_to(here):
        return False
    file = item.path.relative_to(here).as_posix()
    named = {file, f"{file}::{getattr(item, 'originalname', item.name)}"}
    if hasattr(item, "callspec") and item.callspec.params.get("lake_uri") == "s3" and named & SLOW_ON_S3:
        return True
    return bool(named & SLOW)


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
    gc.set_threshold(50_000, 20, 10)  # else a tenth of the tests' time: a test makes few cycles, and pytest holds much
    gc.enable()


def pytest_ignore_collect(collection_path, config):
    """Leave files out unread, none of whose tests would be run: reading all of them takes seconds in each process."""
    here = Path(__file__).parent
    if config.option.markexpr == "not slow" and collection_path.is_relative_to(here):
        return collection_path.relative_to(here).as_posix() in SLOW or None
    return None


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_collection_modifyitems(config, items):
    for item in items:
        # properties are tried with a few examples by the fast tests, and once more with many by the slow ones
        is_property = getattr(getattr(item, "obj", None), "is_hypothesis_test", False)
        if _is_slow(item) or (is_property and config.option.markexpr == "slow"):
            item.add_marker(pytest.mark.slow)
    result = yield
    workers = getattr(config, "workerinput", {}).get("workercount", 1)
    items[:] = _long_ones_first(items, workers)
    return result


def _long_ones_first(items, workers):
    """Let each worker begin with some of the tests that have a timeout of their own; else one works alone at the end.

    A worker is given a share of the tests as they stand, and takes from the end of another's when it is through.
    """
    timeouts = {item: mark.args[0] for item in items if (mark := item.get_closest_marker("timeout"))}
    long = sorted(timeouts, key=timeouts.__getitem__, reverse=True)
    others = [item for item in items if item not in timeouts]
    ordered = []
    for worker in range(workers):
        first = long[worker::workers]
        share = max(0, (len(items) - len(ordered)) // (workers - worker) - len(first))
        ordered += [*first, *others[:share]]
        others = others[share:]
    return ordered


@pytest.hookimpl(wrapper=True)
def pytest_xdist_auto_num_workers():
    """Run a quarter more workers than there are cores: tests wait a fifth of their time for servers and processes."""
    cores = yield
    return cores if "PYTEST_XDIST_AUTO_NUM_WORKERS" in os.environ else cores + -(-cores // 4)


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
