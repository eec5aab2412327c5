"""A stand-in for the Case.dev agent API: same routes, same shapes, scripted runs.

Nothing here knows Django or the rest of the house, so the simulator can judge it from outside.
`app.create_app` builds the ASGI app, `testing.SimulatorServer` serves it to tests, and
`manage.py simulate` serves it to people.

A run is never "executed". What a client sees is a pure function of four facts: which script,
when it started, which variant of the API it speaks, and what time it is.
"""
