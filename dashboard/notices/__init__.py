"""Telling people of runs that they follow, and of notes that mention them.

`follows` says who follows what; `events` compares what is followed with the record and writes a
Notice of each thing that happened, once; `outbox` makes messages of notices and sends them, by
`mail` or `webhook`, in `words` that hold no text of a run. `choices` is what each person, and the
site, wants of it.
"""
