"""Attacks on what the site shows: text that tries to act. `make attack` runs them at full length,
together with the other tests that count; `make test` a part of each."""
