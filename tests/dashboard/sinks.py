"""Real servers on loopback that take what notices send: a mail server and a webhook."""

import json
import socketserver
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self, cast


class _Sink:
    """Serves in a thread while it is entered; its handlers find it as `server.told`."""

    def __init__(self, server: socketserver.TCPServer) -> None:
        self._server = server
        self._server.told = self  # type: ignore[attr-defined]
        self.port: int = server.server_address[1]

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


class MailServer(_Sink):
    """Speaks as much SMTP as a sender needs. `refuses`: what it answers to a command, by its
    first word ("RCPT"). `letters`: (sender, recipients, text) of each message it took."""

    def __init__(self) -> None:
        self.letters: list[tuple[str, list[str], str]] = []
        self.refuses: dict[str, str] = {}
        server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), _Smtp)
        server.daemon_threads = True
        super().__init__(server)

    @property
    def mailers(self) -> dict[str, Any]:
        """For settings.MAILERS."""
        return {"default": {"OPTIONS": {"host": "127.0.0.1", "port": self.port, "timeout": 5}}}


class _Smtp(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        server: MailServer = self.server.told  # type: ignore[attr-defined]
        sender, recipients = "", list[str]()
        self._say("220 ready")
        while line := self.rfile.readline().decode().strip():
            word = line[:4].upper()
            if word in server.refuses:
                self._say(server.refuses[word])
                continue
            if word == "MAIL":
                sender, recipients = line[10:].partition(">")[0].strip("<"), []
            if word == "RCPT":
                recipients.append(line[8:].strip("<>"))
            if word == "DATA":
                self._say("354 go on")
                server.letters.append((sender, recipients, self._letter()))
            self._say("221 bye" if word == "QUIT" else "250 ok")
            if word == "QUIT":
                return

    def _letter(self) -> str:
        lines = []
        while (line := self.rfile.readline()) not in (b".\r\n", b""):
            lines.append(line)
        return b"".join(lines).decode()

    def _say(self, line: str) -> None:
        self.wfile.write(f"{line}\r\n".encode())


class Webhook(_Sink):
    """Takes what is posted to it. `status`, `headers`: what it answers, after `delay` seconds."""

    def __init__(self, delay: float = 0.0) -> None:
        self.delay = delay
        self.taken: list[dict[str, Any]] = []
        self.status, self.headers = 200, dict[str, str]()
        super().__init__(ThreadingHTTPServer(("127.0.0.1", 0), _Posted))
        self.url = f"http://127.0.0.1:{self.port}/services/T0/B0/secretx7Qz"

    @property
    def texts(self) -> list[str]:
        return [one["text"] for one in self.taken]


class _Posted(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        hook = cast(Webhook, self.server.told)  # type: ignore[attr-defined]
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if hook.status == 200:
            hook.taken.append(json.loads(body))
        time.sleep(hook.delay)
        self.send_response(hook.status)
        for name, value in hook.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *_: object) -> None:
        pass
