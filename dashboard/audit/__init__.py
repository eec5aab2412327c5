"""Who looked at what, and who did what: an append-only log whose rows are chained by hashes.

models     the rows, and the head of the chain; no code path changes or deletes one
chain      appends a row; proves that none was changed, taken out or put in between
scene      who is acting, and from where: of the request that is being answered
looks      the middleware that writes a row for each answer before the answer leaves
acts       `record`, and the signals by which sign-ins and changes of accounts are recorded

A look whose row cannot be written is not shown: the answer becomes a 503. An act and its row are
one transaction wherever the act is one.
"""
