"""The names of all commands with their one line, and what exit codes mean; each command is a module of its name."""

from __future__ import annotations

from typing import Final

__all__ = ["COMMANDS", "DECLINED", "EXIT_CODES", "GROUPS"]

GROUPS: Final = {
    "Begin": {
        "init": "Create a lake.",
        "demo": "Run the main job on real data: store, join, train, break, recover.",
        "config": "Show each setting, its value and where that was said.",
        "help": "Print a page of the documentation, or list the pages.",
        "completion": "Print the script that lets a shell complete items and tags.",
    },
    "Items": {
        "ls": "List folios, or the items of one.",
        "show": "Show a lake, a folio, or an item with its first rows.",
        "get": "Write the content of an item to a file or to stdout.",
        "add": "Add a file, a folder or stdin as an item.",
        "rm": "Remove items; their entries stay in the history.",
        "mv": "Rename an item, or move it to another folio.",
        "cp": "Copy an item under another name; copies no content.",
        "records": "Keep tables that grow by rows, under a declared schema.",
        "import": "Bring in what MLflow, DVC, DataFolio, MLtrack or a folder keeps.",
        "tag": "Add tags to an item, or take some away.",
        "archive": "Hide items from listings, or show them again.",
    },
    "History": {
        "log": "List commits, newest first.",
        "history": "List every change of an item, newest first.",
        "diff": "Show what changed between two versions.",
        "snapshot": "Take, list and drop snapshots: protected names for versions.",
        "restore": "Restore a lake, a folio or some items to a past state.",
        "alias": "Let a word name a version of an item, or list its aliases.",
        "compat": "Say whether what reads one version of an item can read another.",
        "policy": "Show or set the rules for new items: versions and names.",
        "lineage": "Show the inputs and the dependents of an item.",
        "provenance": "Show all that an item was made from, or write it to one file.",
        "verify": "Verify a file that lakefolio provenance wrote; needs no lake.",
        "impact": "Show which items, and which columns of them, were made of an item.",
    },
    "Questions": {
        "sql": "Answer a SQL query over the lake's views.",
        "query": "Find items by what is known about them; all conditions must hold.",
        "search": "Find items and runs by words in their names, texts and metadata.",
        "similar": "Find the items that mean most alike an item.",
        "searches": "List searches: how often, what was found, what was chosen.",
        "status": "Show which items are stale, and in which order to make them again.",
        "datasets": "Make, list and show datasets: collections of items under one name.",
        "runs": "List runs, newest first, or walk them like folders.",
        "run": "Show what is recorded of a run.",
        "models": "Register models under names; promote and roll back their versions.",
        "compare": "Put runs side by side: parameters, metrics, inputs, and curves.",
        "ui": "Look at a lake in a browser: runs, curves, items, history.",
        "export": "Freeze the page of a lake, or publish a folio for others to read.",
    },
    "Maintenance": {
        "check": "Verify the lake; exit with 8 if anything is wrong.",
        "repair": "Restore lost and damaged objects from a second copy.",
        "gc": "Delete content that nothing needs.",
        "why": "Show the origin of an item, and what keeps its content alive.",
        "doctor": "Examine whether a place can hold a lake safely.",
        "compact": "Merge the small files of the tables.",
        "stats": "Show counts and sizes of the lake.",
    },
}
"""Every command with its one line, so that ``--help`` need not import them."""

COMMANDS: Final = {name: line for group in GROUPS.values() for name, line in group.items()}

EXIT_CODES: Final = {
    0: "done",
    1: "a bug, with its traceback; a difference, of diff --exit-code",
    2: "wrong usage or input that can't be accepted",
    3: "not found: lake, folio, item, version or snapshot",
    4: "already exists",
    5: "another writer was in the way; try again",
    6: "read-only",
    7: "the store can't be reached or refuses",
    8: "damage: content is missing or changed",
    9: "the lake needs a newer library",
    10: "loading would run code that is not trusted",
    130: "interrupted, or the answer was no",
}
"""What exit codes mean; those of errors are ``LakefolioError.exit_code``."""

DECLINED: Final = 130
