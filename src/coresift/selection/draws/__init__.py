"""Drawing rows by masses and by scores."""
