"""Accounts: how people sign in, what a second factor is asked for, how long a session lives.

django-allauth does the work. Here is what this site decides differently: `adapters` (allauth's own
seams), `factors` (who must have a second factor), `sessions` (their ends), `issuers` (OpenID
Connect), `sealing` (secrets at rest), `passwords` (words that no password is made of), `urls` (the
addresses that exist; allauth's others do not).
"""
