"""Every tool and command that Case.dev's documentation and its open-source runtimes name has words
of its own, whatever comes back; and calls are alike by what they do and where.
"""

import json
from typing import Any

from dashboard.rendering.captions import of_call, read_output
from dashboard.rendering.wording import found

# Tool, what it is given, and the beginning of its caption.
TOOLS: tuple[tuple[str, Any, str], ...] = (
    ("bash", {"command": "casedev vault list", "description": "List"}, "Listed the vaults"),
    ("read", {"filePath": "/workspace/msa.txt", "offset": 1, "limit": 9}, "Read msa.txt"),
    ("write", {"filePath": "/workspace/memo.md", "content": "# Memo"}, "Wrote memo.md"),
    (
        "edit",
        {"filePath": "a.md", "oldString": "x", "newString": "y", "replaceAll": True},
        "Edited",
    ),
    ("glob", {"pattern": "**/*.pdf", "path": "/workspace"}, "Listed files that match **/*.pdf"),
    ("grep", {"pattern": "indemn", "include": "*.txt"}, "Searched *.txt for “indemn”"),
    ("webfetch", {"url": "https://law.example/a", "format": "text"}, "Fetched law.example/a"),
    (
        "todowrite",
        {"todos": [{"id": "1", "content": "x", "status": "pending"}]},
        "Updated its plan",
    ),
    ("vault.search", {"query": "laches"}, "Searched the vault for “laches”"),
    ("legal-research.search", {"query": "laches"}, "Researched case law: “laches”"),
    ("casedev_vault_list", {}, "Listed the vaults"),
    ("casedev_vault_get", {"vaultId": "vault_abc"}, "Looked up vault vault_abc"),
    ("casedev_vault_object_list", {"vaultId": "vault_abc"}, "Listed the documents of vault_abc"),
    ("casedev_vault_search", {"vaultId": "v1", "query": "q"}, "Searched v1 for “q”"),
    ("casedev_vault_upload", {"vaultId": "v1", "filename": "a.md"}, "Uploaded a.md to v1"),
    ("casedev_vault_download", {"vaultId": "v1", "objectId": "o1"}, "Downloaded o1 from v1"),
    ("casedev_matter_read", {"matterId": "m1"}, "Read matter file m1"),
    ("casedev_matter_write", {"path": "facts.md"}, "Wrote matter file facts.md"),
    ("casedev_matter_edit", {"path": "facts.md"}, "Edited matter file facts.md"),
)
COMMANDS = (
    ("casedev vault list", "Listed the vaults"),
    (
        'casedev vault search --id vault_abc --query "force majeure"',
        "Searched vault_abc for “force",
    ),
    ("casedev vault upload --id v --filename report.md", "Uploaded report.md to v"),
    ("casedev vault:objects download --id v --object-id o", "Downloaded o from v"),
    ('casedev legal:v1 find --query "laches"', "Looked for law on “laches”"),
    ('casedev legal:v1 research --query "laches"', "Researched case law: “laches”"),
    ('casedev legal:v1 patent-search --query "valve"', "Searched patents for “valve”"),
    ('casedev legal:v1 docket --query "Acme"', "Searched court dockets for “Acme”"),
    ('casedev search:v1 search --query "Acme"', "Searched the web for “Acme”"),
    ("casedev search:v1 contents --urls https://a.example", "Read web pages https://a.example"),
    ('casedev search vault "laches" --id v1', "Searched v1 for “laches”"),
    ('casedev search legal "laches"', "Researched the law on “laches”"),
    ('casedev search web "laches"', "Searched the web for “laches”"),
    ("casedev ocr process scan.pdf", "Read the scan scan.pdf"),
    ("casedev transcribe run depo.mp3", "Transcribed depo.mp3"),
    ("casedev api GET /vault/v1/objects", "Called GET /vault/v1/objects"),
)
DEEP: Any = "x"
for _ in range(200):
    DEEP = {"data": DEEP}
OUTPUTS: tuple[Any, ...] = (
    *(None, "", "plain words", '{"chunks": []}', "{", "[", {}, [], 0, 17.5, True, False),
    *({"data": {"chunks": [{}]}}, {"data": None}, {"content": [{"type": "text", "text": "x"}]}),
    *({"chunks": "many"}, {"chunks": None}, [[]], [None], {"total": "12"}, "\x00\ud800", DEEP),
)


def caption(tool: str, given: Any, output: Any = ...) -> str:
    raw = None if output is ... else json.dumps(output)
    return of_call(tool, json.dumps(given), read_output(raw, is_whole=True)).plain


def test_every_documented_tool_and_command_has_words_of_its_own():
    commands = [("bash", {"command": line}, words) for line, words in COMMANDS]
    for tool, given, words in (*TOOLS, *commands):
        assert caption(tool, given).startswith(words), (tool, given)
        assert of_call(tool, json.dumps(given)).act, tool
        spoken_as_text = json.dumps(json.dumps(given))  # some runtimes send the input as a text
        assert of_call(tool, spoken_as_text).plain.startswith(words), (tool, "as a text")


def test_no_shape_of_an_output_takes_the_words_away():
    for tool, given, words in TOOLS:
        for output in OUTPUTS:
            assert caption(tool, given, output).startswith(words), (tool, output)
        cut = of_call(tool, json.dumps(given), read_output('{"chunks": [{"a', is_whole=False))
        assert cut.plain.startswith(words), tool


def test_what_no_rule_knows_is_said_by_its_own_name():
    strange: tuple[Any, ...] = ({}, [], 3, None, "x", {"a": {"b": []}})
    for given in strange:
        assert caption("frobnicate", given).startswith("Called frobnicate")
    for tool, _, _ in TOOLS:
        assert caption(tool, {"unheard": "of"}), tool


def test_what_is_wrapped_counts_as_if_it_stood_alone():
    for wrapped in (
        {"data": {"chunks": [1, 2]}},
        {"result": {"data": {"chunks": [1, 2], "total": 2}}},
        {"content": [{"type": "text", "text": "Found 2 passages"}], "chunks": [1, 2]},
    ):
        assert found(wrapped) == "2 passages"
    assert found({"results": [1], "totalCount": 40}) == "1 of 40 results"
    assert found([{"type": "text", "text": "Found 6 matches\na: x"}]) == "6 matches"
    assert found([1, 2, 3]) == "3 results"
    assert found("No matches found") == "no matches"
    assert found("No files found in /workspace") == "no files"
    assert found({"chunks": [1], "total": True}) == "1 passage"


def test_what_a_tool_says_of_its_own_work_ends_the_line():
    written = "Wrote 32 lines (1204 bytes) to /workspace/a.md"
    assert caption("write", {"filePath": "a.md"}, written) == "Wrote a.md: 32 lines"
    edited = "Edited a.md: 1 replacement"
    assert caption("edit", {"filePath": "a.md"}, edited) == "Edited a.md: 1 replacement"
    made = {"objectId": "obj_memo", "filename": "a.md"}
    given = {"vaultId": "v", "filename": "a.md"}
    assert caption("casedev_vault_upload", given, made) == "Uploaded a.md to v: now obj_memo"
    paths = "/workspace/a.pdf\n/workspace/b.pdf\n"
    assert caption("glob", {"pattern": "*.pdf"}, paths).endswith(": 2 files")


def test_calls_are_alike_by_what_they_do_and_where():
    def act(tool: str, given: Any) -> Any:
        return of_call(tool, json.dumps(given)).act

    by_tool = act("casedev_vault_search", {"vaultId": "v1", "query": "a"})
    by_shell = act("bash", {"command": 'casedev vault search --id v1 --query "b"'})
    assert by_tool == by_shell
    assert by_tool != act("casedev_vault_search", {"vaultId": "v2", "query": "a"})
    assert by_tool != act("casedev_vault_upload", {"vaultId": "v1", "filename": "a"})
    assert act("frob", {"a": 1}) == act("frob", {"b": 2}) != act("nicate", {})
    titles = {
        "".join(part if isinstance(part, str) else part.text for part in each.counted(8))
        for each in (
            by_tool,
            act("read", {"filePath": "a"}),
            act("bash", {"command": "make all"}),
            act("bash", {"command": "casedev search:v1 search --query x"}),
            act("frob", {}),
        )
    }
    assert titles == {
        *("8 searches in v1", "8 files read", "8 commands", "8 searches in the web"),
        "8 calls of frob",
    }
