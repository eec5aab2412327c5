"""What a step did, in plain words; and whether it failed, only where that is beyond doubt."""

import json
from typing import Any

import pytest

from dashboard.rendering.captions import of_call, of_result, read_output
from runs.outcomes import PREFIX, failure


def said(tool: str | None, given: Any, output: Any = None, state: Any = "done") -> str:
    """The caption as text; `output` as the API sends it."""
    raw = None if output is None else json.dumps(output)
    reason = failure(tool, raw)
    found = read_output(raw, is_whole=True)
    state = "failed" if reason else state
    return of_call(tool, json.dumps(given), found, state, reason).plain


def bash(command: str, output: Any = None, why: str = "", state: Any = "done") -> str:
    return said("bash", {"command": command, "description": why}, output, state)


@pytest.mark.parametrize(
    ("command", "caption"),
    [
        ("casedev vault list", "Listed the vaults"),
        (
            'casedev vault search --id vault_abc --query "force majeure clauses"',
            "Searched vault_abc for “force majeure clauses”",
        ),
        (
            "casedev vault upload --id v1 --filename report.md --content-type text/markdown",
            "Uploaded report.md to v1",
        ),
        ("casedev vault:objects download --id v1 --object-id obj_1", "Downloaded obj_1 from v1"),
        ("casedev vault:objects list --id=v1", "Listed the documents of v1"),
        ('casedev legal:v1 find --query "laches"', "Looked for law on “laches”"),
        ('casedev legal:v1 research --query "laches"', "Researched case law: “laches”"),
        ('casedev legal:v1 patent-search --query "valve"', "Searched patents for “valve”"),
        ('casedev legal:v1 docket --query "Acme"', "Searched court dockets for “Acme”"),
        ('casedev search:v1 search --query "Acme"', "Searched the web for “Acme”"),
        ('casedev search vault "laches" --id v1', "Searched v1 for “laches”"),
        ('casedev search legal "laches"', "Researched the law on “laches”"),
        ("casedev ocr process --document-url scan.pdf", "Read the scan scan.pdf"),
        ("casedev transcribe run --file depo.mp3", "Transcribed depo.mp3"),
        ("casedev api GET /vault/v1/objects", "Called GET /vault/v1/objects"),
        ("casedev vault search --help", "Read the help of casedev vault search"),
        ("casedev frobnicate now", "Ran casedev frobnicate now"),
        ("cd /workspace && casedev vault list | jq .", "Listed the vaults (and 2 more commands)"),
        ("ls -la /workspace/out", "Listed the files in /workspace/out"),
        ("cat notes.txt", "Read notes.txt"),
        ("cat notes.txt > other.txt", "Ran cat notes.txt > other.txt"),
        ("python3 -c 'print(1)'", "Ran python3 -c 'print(1)'"),
        ("echo 'unclosed", "Ran echo 'unclosed"),
    ],
)
def test_a_command_is_said_in_words(command, caption):
    assert bash(command) == caption


def test_a_command_that_we_do_not_know_is_said_by_its_description():
    assert bash("python3 totals.py", why="Add up the invoices") == (
        "Ran a command: “Add up the invoices”"
    )


@pytest.mark.parametrize(
    ("tool", "given", "caption"),
    [
        ("read", {"filePath": "/workspace/msa.txt"}, "Read msa.txt"),
        (
            "read",
            {"filePath": "/etc/x", "offset": 840, "limit": 1800},
            "Read /etc/x, 1,800 lines from line 840",
        ),
        ("write", {"filePath": "/workspace/a.md", "content": "x"}, "Wrote a.md"),
        (
            "edit",
            {"filePath": "a.md", "oldString": "within ten days", "newString": "x"},
            "Edited a.md at “within ten days”",
        ),
        ("glob", {"pattern": "**/*.pdf"}, "Listed files that match **/*.pdf"),
        (
            "grep",
            {"pattern": "indemn", "path": "/workspace/contracts", "include": "*.txt"},
            "Searched *.txt in /workspace/contracts for “indemn”",
        ),
        ("webfetch", {"url": "https://law.example/17/107?x=1"}, "Fetched law.example/17/107"),
        (
            "todowrite",
            {
                "todos": [
                    {"content": "Read", "status": "completed"},
                    {"content": "Compare", "status": "in_progress"},
                ]
            },
            "Updated its plan: 1 of 2 points done, now “Compare”",
        ),
        ("casedev_vault_list", {}, "Listed the vaults"),
        ("casedev_vault_search", {"vaultId": "v1", "query": "q"}, "Searched v1 for “q”"),
        ("vault.search", {"query": "q"}, "Searched the vault for “q”"),
        ("casedev_vault_download", {"vaultId": "v", "objectId": "o"}, "Downloaded o from v"),
        ("casedev_matter_write", {"path": "facts.md"}, "Wrote matter file facts.md"),
        ("legal-research.search", {"query": "laches"}, "Researched case law: “laches”"),
        ("ponder", {"deep": {"x": 1}, "topic": "laches"}, "Called ponder with topic “laches”"),
        ("ponder", [1, 2], "Called ponder with “1”"),
        ("ponder", "just text", "Called ponder with “just text”"),
        ("ponder", {}, "Called ponder"),
        (None, {}, "Called a tool without a name"),
        ("read", {"unknown": "shape"}, "Called read with unknown “shape”"),
        ("bash", {"command": ""}, "Called bash"),
    ],
)
def test_each_tool_has_its_words_and_a_stranger_its_name(tool, given, caption):
    assert said(tool, given) == caption


def test_what_came_back_is_counted_where_it_says_so():
    search = 'casedev vault search --id v --query "q"'
    assert bash(search, json.dumps({"chunks": [{}] * 12})).endswith(": 12 passages")
    assert bash(search, {"chunks": [{}], "total": 44}).endswith(": 1 of 44 passages")
    assert bash(search, {"chunks": []}).endswith(": no passages")
    assert bash(search, "some text").endswith("“q”")
    grep = said("grep", {"pattern": "x"}, "Found 6 matches\na.txt:1: x")
    assert grep == "Searched files for “x”: 6 matches"


def test_a_call_at_work_is_said_in_the_present():
    assert bash("casedev vault list", state="running") == "Listing the vaults"


def test_a_failed_call_was_tried_and_says_why():
    output = "Error: unknown flag: --vault\n\nUsage: casedev vault search\n\n(exit status 2)"
    assert bash("casedev vault search --vault v --query q", output) == (
        "Tried to search v for “q”: “unknown flag: --vault”"
    )


def test_an_input_that_is_cut_still_says_what_it_can():
    given = json.dumps({"filePath": "/workspace/memo.md", "content": "x" * 9_000})[:2_000]
    assert of_call("write", given).plain == "Wrote memo.md"


def test_a_long_path_keeps_its_end_and_a_long_query_its_beginning():
    path = "/workspace/" + "deep/" * 60 + "memo.md"
    assert said("read", {"filePath": path}).endswith("deep/memo.md")
    assert len(said("read", {"filePath": path})) < 120
    assert said("grep", {"pattern": "word " * 200}).startswith("Searched files for “word word")


def test_markup_and_hidden_characters_in_an_input_are_text():
    caption = of_call("read", json.dumps({"filePath": '<b onclick="x">\u202e"'}))
    assert "<b" not in caption.html
    assert "‹RLO›" in caption.html


def test_a_result_names_its_call():
    assert of_result("grep", 12).plain == "Result of step 12, grep"
    assert of_result("grep", None).plain == "Result of grep, whose call is not told"
    assert of_result(None, None).plain == "Result, whose call is not told"


# Failures ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("output", "reason"),
    [
        ({"exitCode": 1, "stderr": "boom\nmore"}, "boom (exit code 1)"),
        ({"exit_code": 127}, "exit code 127"),
        ({"output": "", "metadata": {"exit": 2}}, "exit code 2"),
        ({"error": "quota exceeded"}, "quota exceeded"),
        ({"error": {"message": "not allowed"}}, "not allowed"),
        ({"isError": True, "content": "no such vault"}, "no such vault"),
        ({"success": False}, "reported an error"),
        ('{"error": {"code": "NOT_FOUND"}}', "NOT_FOUND"),
        ("Error: unknown flag: --vault", "unknown flag: --vault"),
        ("\x1b[31merror: bad\x1b[0m", "bad"),
        ("Traceback (most recent call last):\n  File\nValueError: no", "ValueError: no"),
        ("Usage: x\n\nerror: missing --id", "missing --id"),
        ("done so far\n(exit status 2)", "exit code 2"),
        ("bash: jq: command not found", "bash: jq: command not found"),
        ("cat: a.txt: No such file or directory", "cat: a.txt: No such file or directory"),
    ],
)
def test_a_failure_is_recognised(output, reason):
    assert failure("bash", json.dumps(output)) == reason


@pytest.mark.parametrize(
    "output",
    [
        {"exitCode": 0, "stderr": "warning"},
        {"error": None},
        {"error": ""},
        {"error": False},
        {"errors": []},
        {"status": "failed"},
        {"ok": True},
        {"results": [{"error": "in one document"}]},
        {"exitCode": "1"},
        "Usage: casedev vault <verb>",
        "Errors and omissions insurance is excluded.",
        "Error handling is described in chapter 3.",
        "The word error: it stands within a line",
        "exit code 0",
        "No errors found",
        "x" * 3_000 + "\nError: too late to be seen",
        17,
        [],
        None,
        "",
    ],
)
def test_what_may_be_no_failure_is_none(output):
    assert failure("bash", json.dumps(output)) == ""


def test_a_document_that_speaks_of_errors_was_read_all_the_same():
    for output in ("Error: this is the log that was read", {"error": "a field of the file"}):
        assert failure("read", json.dumps(output)) == ""
    assert failure("read", json.dumps("Error: File not found: /workspace/a.txt"))
    assert failure("edit", json.dumps("Error: oldString not found in content"))


def test_an_output_that_was_never_sent_did_not_fail():
    assert failure("bash", None) == ""


def test_the_same_is_said_of_an_output_and_of_its_first_part():
    raw = json.dumps({"error": "early", "rest": "x" * 5_000})
    assert failure("bash", raw) == failure("bash", raw[:PREFIX], is_whole=False) == "early"
