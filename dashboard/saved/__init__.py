"""Views of the list that somebody keeps: a question with a name, for oneself or for the team."""
