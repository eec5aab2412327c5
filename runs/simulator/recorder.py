"""The language in which scripts are written: what the agent thinks, says and calls.

The recorder keeps the time, counts tokens and writes the cost lines and logs that such acts
leave behind, so a script holds only its story.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from random import Random
from typing import Any

from runs.simulator.plain import block, numbered, prose, rough_tokens
from runs.simulator.prices import DEFAULT_MODEL, llm_cost_micros
from runs.simulator.script import (
    NEVER_MS,
    SANDBOX_LIMIT_MS,
    LogLine,
    Performance,
    Script,
    ScriptedEntry,
    ScriptedResult,
    ScriptedStep,
)

ID_ALPHABET = "0123456789abcdefghijklmnopqrstuvwxyz"
SYSTEM_PROMPT_TOKENS = 2_300
SHORTEST_TOOL_MS = 20


class Recorder:
    """Records one performance of one script. `rng` is the only source of chance."""

    def __init__(self, script: Script, seed: int) -> None:
        self.script = script
        self.rng = Random(f"{script.name}:{seed}")
        self.model = script.model or DEFAULT_MODEL
        self.vault = self.new_id("vault", 8)
        self.prompt = ""
        self.guidance: str | None = None
        self.scope: list[str] = []
        self.steps: list[ScriptedStep] = []
        self.entries: list[ScriptedEntry] = []
        self.logs: list[LogLine] = []
        self.result: ScriptedResult | None = None
        self._now_ms = 0
        self._together_until_ms: int | None = None
        self._context_tokens = SYSTEM_PROMPT_TOKENS
        self._turn_tokens: int | None = None  # completion tokens of the open model turn
        self._length_ms: int | None = None
        self._cast: dict[str, str] = {}
        self._server_log("agent server listening on http://0.0.0.0:4096")

    # The task

    def new_id(self, prefix: str, length: int = 10) -> str:
        return f"{prefix}_{''.join(self.rng.choices(ID_ALPHABET, k=length))}"

    def ask(self, prompt: str, guidance: str | None = None, scope: int = 0) -> None:
        """The user's task. `scope` is the number of vault objects the run is limited to."""
        self.prompt = prose(prompt).replace("{vault}", self.vault)
        self.guidance = prose(guidance) if guidance else None
        self.scope = [self.new_id("obj", 8) for _ in range(scope)]
        self._context_tokens += rough_tokens(self.prompt, self.guidance)
        self.log("sandbox ready: 2 cores, 2048 MiB, /workspace")
        self.log("sending prompt to agent server")

    def cast(self, name: str, *others: str) -> None:
        """Play with another name in the place of `name`, in every text and file name, so that
        two runs of one script are not the same matter twice."""
        chosen = self.rng.choice([name, *others])
        for form in (str, str.lower, str.upper):
            self._cast[form(name)] = form(chosen)

    # What the agent thinks and says

    def think(self, text: str, pause: float | None = None) -> None:
        self._speak("thinking", prose(text), pause)

    def say(self, text: str, pause: float | None = None) -> None:
        self._speak("output", block(text), pause)

    def wait(self, seconds: float) -> None:
        self._now_ms += round(seconds * 1000)

    # What it calls

    def tool(self, name: str, given: Any, answer: Any, took: float | None = None) -> None:
        """A tool call. `took` in seconds before scaling; `float("inf")` never returns."""
        answer_text = answer if isinstance(answer, str) else json.dumps(answer, indent=2)
        self._begin_call(given)
        took = self.rng.uniform(0.4, 2.6) if took is None else took
        took_ms = NEVER_MS if took == float("inf") else round(took * 1000)
        self.steps.append(
            ScriptedStep(
                self._now_ms,
                "tool_call",
                tool_name=name,
                tool_input=given,
                tool_output=answer_text,
                took_ms=took_ms,
            )
        )
        self.log(f"tool {name} called")
        self._server_log(f"POST /session/{self.script.name[:12]}/tool/{name} 200")
        self._context_tokens += rough_tokens(answer_text)
        self._end_call(took_ms)

    def bash(self, command: str, answer: Any, took: float | None = None, why: str = "") -> None:
        given = {"command": command.replace("{vault}", self.vault)}
        if why:
            given["description"] = why
        self.tool("bash", given, answer, took)

    def wrong_flag(self, command: str, wrong: str, usage: str) -> None:
        """The commonest real failure: a flag the CLI does not have. It answers with its usage."""
        text = f"Error: unknown flag: {wrong}\n\n{block(usage)}\n\n(exit status 2)"
        self.bash(command, text, took=0.4)
        self._server_log(f"WARN tool bash exited with status 2: unknown flag {wrong}")

    def read(self, path: str, text: str, offset: int | None = None) -> None:
        given: dict[str, Any] = {"filePath": path}
        if offset is not None:
            given |= {"offset": offset, "limit": 400}
        self.tool("read", given, numbered(text, offset or 1), took=0.25)

    def write(self, path: str, text: str) -> None:
        content = block(text)
        lines = content.count("\n") + 1
        answer = f"Wrote {lines} lines ({len(content.encode())} bytes) to {path}"
        self.tool("write", {"filePath": path, "content": content}, answer, took=0.2)

    def edit(self, path: str, old: str, new: str) -> None:
        given = {"filePath": path, "oldString": old, "newString": new}
        self.tool("edit", given, f"Edited {path}: 1 replacement", took=0.2)

    def glob(self, pattern: str, paths: list[str]) -> None:
        given = {"pattern": pattern, "path": "/workspace"}
        self.tool("glob", given, "\n".join(paths), took=0.1)

    def grep(self, pattern: str, lines: list[str], include: str = "*.txt") -> None:
        given = {"pattern": pattern, "path": "/workspace", "include": include}
        answer = f"Found {len(lines)} matches\n" + "\n".join(lines)
        self.tool("grep", given, answer, took=0.3)

    def webfetch(self, url: str, text: str) -> None:
        self.tool("webfetch", {"url": url, "format": "markdown", "timeout": 30}, block(text))

    def todo(self, *items: str, done: int = 0) -> None:
        """The agent's plan; the first `done` items are ticked and the next is under way."""
        marks = ["completed"] * done + ["in_progress"] + ["pending"] * len(items)
        todos = [
            {"id": str(number), "content": item, "status": mark, "priority": "high"}
            for number, (item, mark) in enumerate(zip(items, marks, strict=False), 1)
        ]
        self.tool("todowrite", {"todos": todos}, {"todos": todos}, took=0.05)

    @contextmanager
    def together(self) -> Iterator[None]:
        """Calls made in here run side by side, as one model turn may ask for several."""
        self._together_until_ms = self._now_ms
        yield
        self._now_ms = max(self._now_ms, self._together_until_ms)
        self._together_until_ms = None

    # Case.dev services, with their cost lines

    def vault_search(self, query: str, hits: list[dict[str, Any]]) -> None:
        command = f'casedev vault search --id {self.vault} --query "{query}"'
        self.bash(command, {"vaultId": self.vault, "query": query, "chunks": hits})
        self.api("vault", f"/vault/{self.vault}/search", metadata={"hits": len(hits)})

    def vault_objects(self, objects: list[dict[str, Any]]) -> None:
        command = f"casedev vault:objects list --id {self.vault}"
        self.bash(command, {"objects": objects, "total": len(objects)})
        self.api("vault", f"/vault/{self.vault}/objects", method="GET", cost_micros=120)

    def download(self, object_id: str, filename: str, size: int) -> None:
        command = f"casedev vault:objects download --id {self.vault} --object-id {object_id}"
        answer = f"Saved /workspace/{filename} ({size:,} bytes)"
        self.bash(f"{command} --output /workspace/{filename}", answer)
        endpoint = f"/vault/{self.vault}/objects/{object_id}/download"
        self.api("vault", endpoint, method="GET", cost_micros=250)

    def upload(self, filename: str, content_type: str = "text/markdown") -> str:
        """Put a file into the vault; returns the id of the new object."""
        object_id = self.new_id("obj")
        command = (
            f"casedev vault upload --id {self.vault} --filename {filename} "
            f"--content-type {content_type}"
        )
        answer = {"objectId": object_id, "filename": filename, "ingestionStatus": "queued"}
        self.bash(command, answer)
        self.api("vault", f"/vault/{self.vault}/upload", cost_micros=900)
        return object_id

    def legal(self, verb: str, query: str, rows: list[dict[str, Any]]) -> None:
        """`verb` is one of find, research, patent-search, docket."""
        answer = {"query": query, "results": rows, "total": len(rows)}
        self.bash(f'casedev legal:v1 {verb} --query "{query}"', answer, took=3.2)
        self.api("legal", f"/legal/v1/{verb}", cost_micros=self.rng.randrange(4_000, 16_000))

    def web_search(self, query: str, rows: list[dict[str, Any]]) -> None:
        self.bash(f'casedev search:v1 search --query "{query}"', {"results": rows}, took=1.6)
        self.api("search", "/search/v1/search", cost_micros=5_000)

    def api(
        self,
        service: str,
        endpoint: str,
        *,
        method: str = "POST",
        status: int = 200,
        cost_micros: int | None = None,
        metadata: Any = None,
    ) -> None:
        """A line of the audit log for a service call; failed calls cost nothing."""
        if cost_micros is None:
            cost_micros = self.rng.randrange(300, 2_400)
        if status >= 400:
            cost_micros = 0
            self._server_log(f"WARN {method} {endpoint} answered {status}")
        self.entries.append(
            ScriptedEntry(
                self._now_ms,
                self.new_id("ue"),
                "api",
                service,
                endpoint.replace("{vault}", self.vault),
                status,
                cost_micros,
                method,
                metadata=metadata,
            )
        )

    def downstream_llm(self, service: str, model: str, prompt: int, completion: int) -> None:
        """A model call made by a service on the run's key: in the summary, not in the run's own
        token counts (API facts: `totalInputTokens` may exceed `inputTokens`)."""
        self._llm_entry(service, model, prompt, completion, direct=False)

    # Log and end

    def log(self, text: str) -> None:
        self.logs.append(LogLine(self._now_ms, "runner", text))

    def done(
        self,
        output: str,
        summary: str,
        objects: list[str] | None = None,
        issues: list[str] | None = None,
    ) -> None:
        """The final answer, as last output step and as the result."""
        text = block(output)
        self._speak("output", text, self.rng.uniform(5, 9))
        self.result = ScriptedResult(text, objects or [], prose(summary), issues or [])
        self.wait(0.8)
        self.log("agent finished")
        self.log(f"{len(objects or [])} object(s) created; sandbox destroyed")

    def died(self, last_words: str, issues: list[str] | None = None) -> None:
        """The run fails with its logs only; the API has no error field (API facts: details)."""
        self._close_turn()
        self.log(last_words)
        self._server_log(f"ERROR {last_words}")
        self.result = ScriptedResult(None, [], None, issues or [])

    def vanished(self) -> None:
        """The run fails and leaves no result at all."""
        self._close_turn()
        self.result = None

    def hang(self, *, for_ever: bool = False) -> None:
        """Nothing more happens, until the sandbox limit or for ever."""
        self._close_turn()
        self._length_ms = NEVER_MS if for_ever else SANDBOX_LIMIT_MS

    def performance(self) -> Performance:
        self._close_turn()
        self._fit_length()
        self._recast()
        length_ms = self._length_ms or self._now_ms
        if self._length_ms == SANDBOX_LIMIT_MS:
            last_words = "sandbox reached its 30 minute limit and was terminated"
            self.logs.append(LogLine(length_ms, "runner", last_words))
        return Performance(
            self.prompt,
            self.guidance,
            self.model,
            self.scope,
            length_ms,
            self.script.ends,
            self.steps,
            self.entries,
            self.logs,
            self.result,
            "server" if self.rng.random() < 0.3 else "runtime",
        )

    # Bookkeeping

    def _speak(self, type_: Any, text: str, pause: float | None) -> None:
        self._close_turn()
        self.wait(self.rng.uniform(1.5, 5.0) if pause is None else pause)
        self.steps.append(ScriptedStep(self._now_ms, type_, content=text))
        self._turn_tokens = rough_tokens(text)

    def _begin_call(self, given: Any) -> None:
        asked = self._turn_tokens or 0
        in_turn = self._turn_tokens is not None
        self.wait(0.2 if in_turn else self.rng.uniform(1.2, 3.5))
        self._turn_tokens = asked + rough_tokens(given)
        if self._together_until_ms is None:
            self._close_turn()

    def _end_call(self, took_ms: int) -> None:
        if took_ms == NEVER_MS:
            return
        if self._together_until_ms is None:
            self._now_ms += took_ms
        else:
            self._together_until_ms = max(self._together_until_ms, self._now_ms + took_ms)

    def _close_turn(self) -> None:
        if self._turn_tokens is None:
            return
        written, self._turn_tokens = self._turn_tokens, None
        self._llm_entry("llm", self.model, self._context_tokens, written, direct=True)
        self._context_tokens += written

    def _llm_entry(
        self, service: str, model: str, prompt: int, completion: int, *, direct: bool
    ) -> None:
        metadata = {"requestId": self.new_id("req", 12)} if self.rng.random() < 0.4 else None
        self.entries.append(
            ScriptedEntry(
                self._now_ms,
                self.new_id("ue"),
                "llm",
                service,
                "/llm/v1/chat/completions",
                200,
                llm_cost_micros(model, prompt, completion),
                prompt_tokens=prompt,
                completion_tokens=completion,
                model=model,
                metadata=metadata,
                direct=direct,
            )
        )

    def _recast(self) -> None:
        if not self._cast:
            return
        self.prompt, self.guidance = self._recast_in(self.prompt), self._recast_in(self.guidance)
        for step in self.steps:
            step.content = self._recast_in(step.content)
            step.tool_input = self._recast_in(step.tool_input)
            step.tool_output = self._recast_in(step.tool_output)
        if self.result is not None:
            self.result.output = self._recast_in(self.result.output)
            self.result.summary = self._recast_in(self.result.summary)
            self.result.issues = self._recast_in(self.result.issues)

    def _recast_in(self, value: Any) -> Any:
        match value:
            case str():
                for name, chosen in self._cast.items():
                    value = value.replace(name, chosen)
                return value
            case dict():
                return {key: self._recast_in(item) for key, item in value.items()}
            case list():
                return [self._recast_in(item) for item in value]
        return value

    def _server_log(self, text: str) -> None:
        self.logs.append(LogLine(self._now_ms, "server", text))

    def _fit_length(self) -> None:
        """Stretch the story to the script's length, give or take 8 per cent, on a 100 ms grid."""
        wanted = self.script.seconds * 1000 * self.rng.uniform(0.92, 1.08)
        stretch = wanted / max(1, self._now_ms)

        def fitted(moment_ms: int) -> int:
            return round(moment_ms * stretch / 100) * 100

        for step in self.steps:
            step.at_ms = fitted(step.at_ms)
            if step.tool_name and step.took_ms != NEVER_MS:
                step.took_ms = max(SHORTEST_TOOL_MS, round(step.took_ms * stretch))
        for entry in self.entries:
            entry.at_ms = fitted(entry.at_ms)
        for line in self.logs:
            line.at_ms = fitted(line.at_ms)
        self._now_ms = fitted(self._now_ms)


def perform(script: Script, seed: int) -> Performance:
    recorder = Recorder(script, seed)
    script.perform(recorder)
    return recorder.performance()
