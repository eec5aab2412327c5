"""Live pages: one hub a web process, which tells open streams what changed.

`hub` keeps what is looked at and wakes the streams; `streams` are what browsers hold open;
`fragments` renders what goes down them, once for all who look; `renderings` is the shared cache;
`viewers` says whose streams have to end; `relay` carries a stream after Django's request is over.
"""
