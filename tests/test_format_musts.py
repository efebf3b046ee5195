"""Each MUST of FORMAT.md is held by a test: the sentence, and the tests that fail where the code does not keep it.

A new MUST needs its line here; a sentence that goes, or a test with another name, changes its line.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import pytest

import lakefolio

TESTS = Path(__file__).parent

MUSTS: dict[str, list[str]] = {
    "a reader must be able to tell: every object is": [
        "faults/test_damaged_tables.py::test_any_flipped_bit_in_the_tables_is_told_or_means_nothing",
        "faults/test_damaged_content.py::test_a_blob_exchanged_for_another",
    ],
    "what is no regular file must not be read": [
        "faults/test_links.py::test_what_is_no_regular_file_is_refused_and_hangs_nobody",
    ],
    "keys read from a table must be checked to lie where they belong": [
        "faults/test_hand_edited.py::test_a_data_file_that_lies_outside",
        "faults/test_hand_edited.py::test_a_digest_that_points_outside",
    ],
    "a writer must then refuse to write": [
        "test_upkeep.py::test_a_store_where_more_than_one_wins_is_refused",
    ],
    "must take its id for the marker": [
        "test_format.py::test_two_creators_at_once_make_one_lake",
    ],
    "a reader must refuse a lake whose `min_reader_version`": [
        "faults/test_damaged_tables.py::test_a_newer_format_that_may_not_be_read",
        "faults/test_damaged_tables.py::test_a_newer_format_that_may_be_read_but_not_written",
        "test_format.py::test_version_1_is_refused_with_one_error",
    ],
    "a reader must refuse a table that asks for more": [
        "faults/test_damaged_tables.py::test_a_table_that_somebody_upgraded",
    ],
    "a reader must take `@name` for a snapshot": [
        "model/test_resolve.py::test_a_snapshot_goes_before_the_version_or_time_of_its_name",
    ],
    "a writer must refuse one that is not above all that the item has": [
        "test_item_versions.py::test_a_bad_label_is_refused_and_nothing_is_stored",
        "test_item_versions.py::test_a_commit_that_lost_the_race_is_labelled_anew",
    ],
    "archive or restore must carry `extra` over": [
        "test_item_versions.py::test_a_label_goes_with_its_entry",
        "test_item_versions.py::test_a_label_is_read_everywhere",
    ],
    "a writer must refuse a new name that does not fit": [
        "test_naming.py::test_a_name_that_does_not_fit_is_refused_whoever_gives_it",
    ],
    "a reader must verify each part that it reads": [
        "test_search_stored.py::test_an_index_that_is_damaged_or_foreign_is_not_believed",
    ],
    "words of purged content must not stay": [
        "test_search_stored.py::test_purged_content_leaves_no_words_behind",
        "test_search_stored.py::test_an_index_made_while_content_was_purged_is_given_up",
    ],
    "a writer must refuse a version that is not": [
        "test_item_versions.py::test_an_incompatible_version_is_refused",
    ],
    "a reader must take those of others for text": [
        "test_hostile_facts.py::test_odd_names_that_are_text_are_columns",
        "test_query.py::test_values_never_become_sql",
    ],
    "which must be refused if the run exists": [
        "runs/test_runs.py::test_a_run_id_is_given_once",
    ],
    "`running` (nor `lost`) must be refused": [
        "runs/test_run_writers.py::test_of_those_who_end_a_run_one_does",
    ],
    "readers must not rely on it": [
        "runs/test_metrics.py::test_compaction_keeps_every_point",
    ],
    "a reader must refuse a row that says more, before it decompresses": [
        "runs/test_event_text.py::test_a_row_that_says_another_size_is_refused_before_memory_is_taken",
    ],
    "a reader must not execute or import": [
        "items/test_json_items.py::test_a_hand_written_class_name_builds_nothing",
        "items/test_model_items.py::test_loading_imports_no_module_that_is_not_trusted",
    ],
    "and must not unpickle": [
        "items/test_model_items.py::test_a_pickle_is_never_loaded",
        "items/test_array_items.py::test_damaged_content_and_pickles_are_refused",
    ],
    "a reader must not trust it": [
        "faults/test_hand_edited.py::test_torch_details_that_name_something_else",
        "test_fuzz_items.py::test_bytes_that_lie",
    ],
    "a reader must take its last part only": [
        "faults/test_hand_edited.py::test_details_that_name_a_file_outside",
    ],
    "a reader must validate every arrow stream in full": [
        "test_decoding_bounds.py::test_indices_that_lead_astray_are_damage",
        "test_fuzz_items.py::test_bytes_that_lie",
    ],
    "a reader must refuse a png whose header": [
        "items/test_figure_items.py::test_a_bomb_is_refused_before_it_is_decoded",
    ],
    "a reader must refuse members that are absolute": [
        "items/test_artifact_items.py::test_hostile_tars_write_nothing",
    ],
    "what is digested must be exactly what is written": [
        "test_changed_content.py::test_what_changes_before_it_is_written_never_poisons_equal_content",
        "test_changed_content.py::test_a_table_that_changes_while_it_is_written_is_refused",
    ],
    "a reader must verify size, then digest, on every read": [
        "faults/test_damaged_content.py::test_every_way_of_reading_tells_damage",
    ],
    "the journal must not copy it": [
        "test_inline_content.py::test_it_lies_in_the_data_file_of_its_commit_alone",
    ],
    "who puts an entry again must put its content": [
        "test_inline_content.py::test_who_learned_of_it_by_the_log_puts_it_again_whole",
    ],
    "a reader must verify it by `blob_digest`": [
        "faults/test_damaged_content.py::test_inline_content_that_was_edited",
    ],
    "a reader must compare before it returns content": [
        "test_references.py::test_a_folder_that_changed_is_refused",
        "test_references.py::test_a_file_that_was_copied_is_not_changed_and_one_of_equal_size_is",
    ],
    "a reader must not follow whatever a row names": [
        "test_references.py::test_what_somebody_else_registered_is_described_and_not_asked",
    ],
    "a reader must compare every seal": [
        "faults/test_wrong_answers.py::test_nothing_is_lost_to_a_wrong_answer",
    ],
    "then a reader must read it twice": [
        "faults/test_wrong_answers.py::test_an_entry_of_another_tool_is_read_twice",
    ],
    "a checkpoint must be compared with the log": [
        "faults/test_wrong_answers.py::test_a_checkpoint_that_leaves_files_out_is_found",
    ],
    "must be ignored, and the log read from its start": [
        "faults/test_damaged_tables.py::test_a_damaged_checkpoint_costs_time",
    ],
    "file must have as many rows as its `add` says": [
        "test_fuzz.py::test_a_row_is_of_the_version_that_its_log_entry_makes",
        "test_fuzz.py::test_whatever_a_lake_says",
    ],
    "a merge must verify its sources": [
        "faults/test_wrong_answers.py::test_nothing_is_lost_to_a_wrong_answer",
        "runs/test_metrics.py::test_compaction_keeps_every_point",
    ],
    "a reader of tickets must take nothing on trust": [
        "test_tickets.py::test_what_no_writer_writes_is_refused",
        "test_tickets.py::test_damage_is_seen",
    ],
    "a combiner must have read every log entry above the base": [
        "protocol/test_commit_schedules.py::test_no_interleaving_of_two_writers_loses_or_doubles_a_commit",
        "protocol/test_commit_schedules.py::test_what_each_rule_is_for_is_found",
    ],
    "it must be resolved to a version": [
        "test_at.py::test_a_time_in_an_input_is_fixed_when_it_is_given",
        "test_tickets.py::test_what_no_writer_writes_is_refused",
    ],
    "log entries must not be deleted": [
        "test_upkeep.py::test_after_upkeep_a_lake_is_its_log_and_little_else",
        "faults/test_damaged_tables.py::test_a_gap_in_the_log",
    ],
    "a writer that loses the create must write it anew": [
        "test_journal.py::test_a_lost_create_writes_its_data_file_under_another_name",
    ],
    "a collector must have compared the checkpoint with the log": [
        "test_gc.py::test_data_files_that_were_replaced_go_after_the_grace",
        "faults/test_wrong_answers.py::test_a_checkpoint_that_leaves_files_out_is_found",
    ],
    "a reader that misses a data file must read the log again": [
        "faults/test_outdated_files.py::test_files_are_replaced_before_they_are_read",
    ],
    "must ignore a note without it": [
        "readmodels/test_large_lakes.py::test_a_note_that_is_not_as_it_was_written_is_not_believed",
    ],
    "a writer must make a model anew whose": [
        "readmodels/test_models_of_lakes.py::test_models_of_versions_that_the_journal_lacks_are_not_believed",
    ],
    "a reader must see that the `through` of a model": [
        "readmodels/test_models_of_lakes.py::test_a_lost_note_costs_requests_and_nothing_else",
    ],
    "a reader must not take it for a version that it does not reach": [
        "readmodels/test_totals.py::test_totals_of_another_version_than_the_entries_are_made_right",
        "readmodels/test_readmodels_equal_replay.py::test_read_models_answer_as_a_replay_does",
    ],
    "a reader must verify the footer and each row group": [
        "readmodels/test_models_of_lakes.py::test_a_damaged_file_gives_no_wrong_answer_and_check_names_it",
        "readmodels/test_large_lakes.py::test_duckdb_reads_no_file_that_was_not_verified",
    ],
    "the collector must leave out all content that a row above v refers to": [
        "protocol/test_gc_schedules.py::test_no_interleaving_loses_what_is_needed",
        "test_gc.py::test_new_content_against_purge",
    ],
    "must look anew if a snapshot recorded above v": [
        "test_gc.py::test_new_snapshot_against_purge",
        "test_gc.py::test_new_alias_against_purge",
    ],
    "must not take tickets": [
        "test_tickets.py::test_a_collector_commits_no_ticket_of_others",
    ],
    "must be refused if that is another by then": [
        "runs/test_registered_models.py::test_a_promotion_that_rests_on_another_state_is_refused",
    ],
    "a reader must judge their parsed sql": [
        "sql/test_cage.py::test_nothing_else_is_allowed",
        "test_browse.py::test_files_that_mean_no_good_are_left_out_and_do_no_harm",
    ],
    "must run them without access to files": [
        "sql/test_cage.py::test_nothing_else_runs",
        "sql/test_cage.py::test_hard_work_ends_by_its_limit",
    ],
    "it must not let one take the name of another view": [
        "test_browse.py::test_files_that_mean_no_good_are_left_out_and_do_no_harm",
    ],
    "a writer must look whether the item's head still names the table": [
        "test_records.py::test_a_table_that_was_deleted_or_replaced_takes_no_more_rows",
    ],
    "a reader must refuse what asks for other features": [
        "test_records.py::test_a_table_that_asks_for_more_is_refused_in_words",
    ],
    "and a writer must see that they are": [
        "test_records.py::test_of_two_writers_of_one_key_the_later_is_refused",
        "test_records.py::test_one_bad_row_refuses_all_and_is_named",
    ],
    "in the place of the lake's id and `records` as the table; a reader must compare it": [
        "test_records.py::test_the_bytes_of_another_object_are_no_log_entry",
    ],
    "a reader must ignore one that has the first": [
        "test_records.py::test_the_checkpoint_of_another_version_is_not_believed",
    ],
    "has the tag `lakefolio.sha256`, which a reader must compare": [
        "test_records.py::test_a_data_file_that_is_missing_or_damaged_is_named",
    ],
}
"""A piece of the text in lower case, that holds one MUST or begins its sentence -> the tests that hold it."""


@cache
def text() -> str:
    """Return the text on one line, from the end of its introduction on."""
    whole = (Path(lakefolio.__file__).parent / "FORMAT.md").read_text(encoding="utf-8")
    return re.sub(r"\s+", " ", whole.split("\n## Words", 1)[1])


def test_each_must_has_its_line() -> None:
    bare = text()
    for piece in MUSTS:
        found = [match.start() for match in re.finditer(re.escape(piece), bare, re.IGNORECASE)]
        assert len(found) == 1, f"{piece!r} is there {len(found)} times"
        (start,) = found
        assert len(re.findall(r"\bMUST\b", bare[start : start + len(piece)])) == 1, piece
        bare = bare[:start] + re.sub(r"\bMUST\b", "must", bare[start : start + len(piece)]) + bare[start + len(piece) :]
    left = [bare[max(0, match.start() - 80) : match.end() + 80] for match in re.finditer(r"\bMUST\b", bare)]
    assert left == []


@pytest.mark.parametrize("piece", sorted(MUSTS))
def test_the_tests_that_hold_it_are_there(piece: str) -> None:
    for named in MUSTS[piece]:
        file, _, function = named.partition("::")
        assert re.search(rf"^\s*def {function}\(", (TESTS / file).read_text(encoding="utf-8"), re.MULTILINE), named
