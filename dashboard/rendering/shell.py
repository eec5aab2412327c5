"""What a shell command does, in plain words, as far as we know its program.

The `casedev` command line (its verbs are those of its documentation, older and newer) and a few
everyday programs; any other command is quoted, never interpreted.
"""

import re
import shlex

from dashboard.rendering.wording import Code, Part, Place, Quote, Verb

RUN = Verb("Running", "Ran", "run", "command", "commands")
SEARCH = Verb("Searching", "Searched", "search", "search", "searches")
LIST = Verb("Listing", "Listed", "list", "listing", "listings")
READ = Verb("Reading", "Read", "read", "text read", "texts read")
GET = Verb("Looking up", "Looked up", "look up", "look-up", "look-ups")
DOWNLOAD = Verb("Downloading", "Downloaded", "download", "download", "downloads")
UPLOAD = Verb("Uploading", "Uploaded", "upload", "upload", "uploads")
DELETE = Verb("Deleting", "Deleted", "delete", "deletion", "deletions")
CREATE = Verb("Creating", "Created", "create")
RESEARCH = Verb(
    "Researching",
    "Researched",
    "research",
    "question of law researched",
    "questions of law researched",
)
LOOK = Verb("Looking for", "Looked for", "look for", "look-up", "look-ups")
CALL = Verb("Calling", "Called", "call")
SCAN = Verb("Reading the scan", "Read the scan", "read the scan", "scan read", "scans read")
TRANSCRIBE = Verb("Transcribing", "Transcribed", "transcribe", "transcription", "transcriptions")
ASK_HELP = Verb("Reading the help of", "Read the help of", "read the help of")
TRANSLATE = Verb("Translating", "Translated", "translate")

_VERSION = re.compile(r":v\d+\b")
_OPERATORS = {"&&", "||", ";", "|", "&", "\n"}
_LONGEST_PARSED = 4_000

type Said = tuple[Verb, list[Part]]

# (group, verb) of the casedev command -> what it does, and which flags name its objects.
_COMMANDS: dict[tuple[str, str], tuple[Verb, str]] = {
    ("vault", "list"): (LIST, "the vaults"),
    ("vault", "get"): (GET, "vault {id}"),
    ("vault", "create"): (CREATE, "vault {name}"),
    ("vault", "delete"): (DELETE, "vault {id}"),
    ("vault", "search"): (SEARCH, "{id} for {query}"),
    ("vault", "upload"): (UPLOAD, "{filename} to {id}"),
    ("vault", "download"): (DOWNLOAD, "{object-id} from {id}"),
    ("vault", "ingest"): (Verb("Ingesting", "Ingested", "ingest"), "{object-id} in {id}"),
    ("vault:objects", "list"): (LIST, "the documents of {id}"),
    ("vault:objects", "get"): (GET, "document {object-id} in {id}"),
    ("vault:objects", "get-text"): (READ, "the text of {object-id} in {id}"),
    ("vault:objects", "download"): (DOWNLOAD, "{object-id} from {id}"),
    ("vault:objects", "delete"): (DELETE, "{object-id} from {id}"),
    ("vault:objects", "update"): (Verb("Updating", "Updated", "update"), "{object-id} in {id}"),
    ("legal", "find"): (LOOK, "law on {query}"),
    ("legal", "research"): (RESEARCH, "case law: {query}"),
    ("legal", "patent-search"): (SEARCH, "patents for {query}"),
    ("legal", "docket"): (SEARCH, "court dockets for {query}"),
    ("legal", "verify"): (Verb("Checking", "Checked", "check"), "the citations in {text}"),
    ("legal", "get-citations"): (Verb("Finding", "Found", "find"), "the citations in {text}"),
    ("legal", "get-full-text"): (READ, "the full text of {id}"),
    ("legal", "similar"): (LOOK, "cases like {url}"),
    ("search", "search"): (SEARCH, "the web for {query}"),
    ("search", "contents"): (READ, "web pages {urls}"),
    ("search", "answer"): (LOOK, "an answer on the web: {query}"),
    ("search", "similar"): (LOOK, "pages like {url}"),
    ("search", "vault"): (SEARCH, "{id} for {query}"),
    ("search", "legal"): (RESEARCH, "the law on {query}"),
    ("search", "web"): (SEARCH, "the web for {query}"),
    ("ocr", "process"): (SCAN, "{document-url}"),
    ("transcribe", "run"): (TRANSCRIBE, "{file}"),
    ("translate", "translate"): (TRANSLATE, "{text}"),
    ("api", "get"): (CALL, "GET {0}"),
    ("api", "post"): (CALL, "POST {0}"),
    ("api", "put"): (CALL, "PUT {0}"),
    ("api", "delete"): (CALL, "DELETE {0}"),
}  # fmt: skip
_QUOTED = {"query", "text"}
_ALIASES = {
    "id": ("id", "vault-id", "vault", "vaultId"),
    "object-id": ("object-id", "object", "objectId"),
    "query": ("query", "q", "question", "prompt"),
    "filename": ("filename", "file", "path"),
    "file": ("file", "filename", "url", "audio-url", "vault-id"),
    "document-url": ("document-url", "url", "file", "object-id"),
    "urls": ("urls", "url"),
    "name": ("name",),
}
_EVERYDAY = {
    "ls": (LIST, "the files in {0}", "the files"),
    "cat": (READ, "{0}", ""),
    "head": (READ, "the beginning of {0}", ""),
    "tail": (READ, "the end of {0}", ""),
    "mkdir": (Verb("Making", "Made", "make"), "folder {0}", ""),
    "rm": (DELETE, "{0}", ""),
    "wc": (Verb("Counting", "Counted", "count"), "the words of {0}", ""),
}


def described(command: str, description: str) -> Said:
    """The act behind `command`; `description` is the agent's own word for it, maybe ""."""
    commands = _commands(command)
    for words in commands:
        if words and words[0] == "casedev":
            said = _casedev(words[1:])
            if said:
                return _with_others(said, len(commands) - 1)
    if description.strip():
        return RUN, ["a command: ", Quote(description)]
    if len(commands) == 1 and (said := _everyday(commands[0])):
        return said
    return RUN, [Code(command)]


def _commands(command: str) -> list[list[str]]:
    """The commands that a shell line holds, split into words; [] if we cannot tell."""
    lexer = shlex.shlex(
        command[:_LONGEST_PARSED].replace("\n", " ; "), posix=True, punctuation_chars=";|&"
    )
    lexer.whitespace_split = True
    lexer.commenters = ""
    commands: list[list[str]] = [[]]
    try:
        for word in lexer:
            if word in _OPERATORS or (set(word) <= {";", "|", "&"} and word):
                commands.append([])
            else:
                commands[-1].append(word)
    except ValueError:  # an unclosed quote: the line is cut, or no shell line at all
        return [command.split()] if command.startswith("casedev ") else []
    return [words for words in commands if words]


def _with_others(said: Said, others: int) -> Said:
    verb, parts = said
    if others:
        parts = [*parts, f" (and {others} more command{'' if others == 1 else 's'})"]
    return verb, parts


def _casedev(words: list[str]) -> Said | None:
    plain, flags = _sorted(words)
    name = "casedev " + " ".join(plain[:2])
    if "help" in flags or "h" in flags or plain[:1] == ["help"]:
        return ASK_HELP, [Code(name.strip())]
    if not plain:
        return None
    group = _VERSION.sub("", plain[0])
    known = _COMMANDS.get((group, plain[1].lower() if len(plain) > 1 else ""))
    if known is None:
        return RUN, [Code("casedev " + " ".join(words))]
    verb, pattern = known
    return verb, _filled(pattern, plain[2:], flags)


def _sorted(words: list[str]) -> tuple[list[str], dict[str, str]]:
    """Bare words, and flags with their values."""
    plain: list[str] = []
    flags: dict[str, str] = {}
    at = 0
    while at < len(words):
        word = words[at]
        at += 1
        if not word.startswith("-") or word == "-":
            plain.append(word)
            continue
        name, equals, value = word.lstrip("-").partition("=")
        if not equals and at < len(words) and not words[at].startswith("-"):
            value = words[at]
            at += 1
        flags[name] = value
    return plain, flags


def _filled(pattern: str, plain: list[str], flags: dict[str, str]) -> list[Part]:
    """`pattern` with its names replaced by what the command gave."""
    parts: list[Part] = []
    for piece in re.split(r"(\{[\w-]+\})", pattern):
        if not piece.startswith("{"):
            parts.append(piece)
            continue
        name = piece[1:-1]
        value = _value(name, plain, flags)
        if not value:
            parts.append(_unnamed(name))
        else:
            kind = Quote if name in _QUOTED else Place if name == "id" else Code
            parts.append(kind(value))
    return [part for part in parts if part]


def _value(name: str, plain: list[str], flags: dict[str, str]) -> str:
    if name.isdigit():
        return plain[int(name)] if int(name) < len(plain) else ""
    named = next((flags[flag] for flag in _ALIASES.get(name, (name,)) if flags.get(flag)), "")
    # A query, a file or an address may also stand as a bare word.
    return named or (plain[0] if plain and name not in ("id", "object-id", "name") else "")


def _unnamed(name: str) -> str:
    return {
        "id": "the vault",
        "object-id": "a document",
        "query": "something",
        "filename": "a file",
        "name": "",
    }.get(name, "…")


def _everyday(words: list[str]) -> Said | None:
    known = _EVERYDAY.get(words[0])
    if known is None or any(set(word) & set("<>$`*") for word in words):
        return None
    verb, pattern, bare = known
    plain = [word for word in words[1:] if not word.startswith("-")]
    if not plain:
        return (verb, [bare]) if bare else None
    if len(plain) > 1:
        return None
    before, after = pattern.split("{0}")
    return verb, [before, Code(plain[0]), after] if after else [before, Code(plain[0])]
