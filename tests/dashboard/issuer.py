"""An issuer of OpenID Connect on loopback, that can be told to lie.

`issuer.says` are the claims of its next ID token; the test is the browser between the two.
"""

import base64
import hashlib
import http.server
import json
import threading
import time
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa

CLIENT, SECRET = "runsheet", "the secret of the client"


class Issuer:
    def __init__(self) -> None:
        self.key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.signed_by: Any = self.key
        self.algorithm = "RS256"
        self.metadata: dict[str, Any] = {}
        self.says: dict[str, Any] = {}
        self.challenge = ""
        self.asked: list[str] = []

    def __enter__(self) -> Self:
        issuer = self

        class Answers(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.answer(issuer.metadata_now() if "well-known" in self.path else issuer.keys())

            def do_POST(self) -> None:
                length = int(self.headers["Content-Length"])
                self.answer(issuer.token(parse_qs(self.rfile.read(length).decode())))

            def answer(self, content: dict[str, Any] | None) -> None:
                issuer.asked.append(self.path)
                body = json.dumps(content or {"error": "invalid_grant"}).encode()
                self.send_response(200 if content else 400)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answers)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.server.server_close()

    def metadata_now(self) -> dict[str, Any]:
        return {
            "issuer": self.url,
            "authorization_endpoint": f"{self.url}/authorize",
            "token_endpoint": f"{self.url}/token",
            "jwks_uri": f"{self.url}/jwks",
            "token_endpoint_auth_methods_supported": ["client_secret_post"],
        } | self.metadata

    def keys(self) -> dict[str, Any]:
        public = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(self.key.public_key()))
        return {"keys": [public | {"kid": "one", "alg": "RS256", "use": "sig"}]}

    def token(self, asked: dict[str, list[str]]) -> dict[str, Any] | None:
        verifier = asked.get("code_verifier", [""])[0]
        proof = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=")
        known = asked.get("client_secret") == [SECRET] and asked.get("code") == ["a code"]
        if not known or proof.decode() != self.challenge:
            return None
        claims = {"iss": self.url, "aud": CLIENT, "exp": int(time.time()) + 300} | self.says
        signed = jwt.encode(claims, self.signed_by, self.algorithm, headers={"kid": "one"})
        return {"access_token": "an access token", "token_type": "Bearer", "id_token": signed}

    def app(self, kind: str = "other") -> dict[str, Any]:
        return {
            "provider_id": "oidc",
            "name": "Firm SSO",
            "client_id": CLIENT,
            "secret": SECRET,
            "settings": {"server_url": self.url, "kind": kind, "oauth_pkce_enabled": True},
        }

    def asked_by(self, address: str, **claims: Any) -> str:
        """Sign a person with `claims` in; returns the query that leads the browser back."""
        asked = {name: values[0] for name, values in parse_qs(urlsplit(address).query).items()}
        assert asked["response_type"] == "code"
        assert asked["code_challenge_method"] == "S256"
        self.challenge = asked["code_challenge"]
        self.says = {"nonce": asked["nonce"]} | claims
        return f"code=a+code&state={asked['state']}"
