"""What the holder of a share link may see, and nothing else.

`rules` are what was chosen when the link was made; `folding` and `redaction` take out of a text
what must not be read; `shown` is the allow-list: frozen structures of values that may be told;
`serializer` fills them from the record; `sources` gives a link's pages theirs, from the record
or from a frozen copy. Nothing behind `sources` knows a run.
"""
