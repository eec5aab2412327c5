"""The JSON API for a team's own tools, under /api/.

models     a token: whose, what for, until when; its text is stored nowhere
tokens     made, used, revoked
bearer     who comes with a token, and how often
problems   errors as problem details (RFC 9457)
schemas    what answers hold, for the OpenAPI document
routes     the addresses
reference  the OpenAPI document, and the page that people read

A token may do what its owner may, and no more than it was made for. No session opens anything
here, so no page of another site can make a browser act. Looks and acts are in the audit log like
those of pages, with the token's name.
"""
